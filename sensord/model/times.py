"""Times for people: microseconds since 1970 written as ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["iso"]


def iso(time_us: int) -> str | None:
    """Write a time as ISO 8601 in UTC with microseconds, or None if no calendar has it."""
    try:
        seconds, rest = divmod(time_us, 1_000_000)
        whole = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
