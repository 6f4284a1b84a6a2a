"""Numbers as blocks: a line of them, or a chart of several lines."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["cells_of", "chart", "spark"]

BLOCKS = " ▁▂▃▄▅▆▇█"
PLAIN_BLOCKS = " .:-=+*#@"

LEVELS = 8

Numbers = Sequence[float | None]
"""None where there is no value: that cell stays blank."""


def spark(numbers: Numbers, width: int, *, is_plain: bool = False) -> str:
    """Draw the newest numbers as one line, with the newest at the right end."""
    shown = list(numbers[-width:]) if width > 0 else []
    known = [one for one in shown if one is not None]
    if not known:
        return " " * max(0, width)
    low, high = min(known), max(known)
    blocks = PLAIN_BLOCKS if is_plain else BLOCKS
    drawn = "".join(
        " " if one is None else blocks[1 + _level(one, low, high, LEVELS - 1)] for one in shown
    )
    return drawn.rjust(width)


def _level(number: float, low: float, high: float, levels: int) -> int:
    """Return where a number is between two others; one that never changes is in the middle."""
    share = _share(number, low, high)
    return min(levels, max(0, round(share * levels)))


def _share(number: float, low: float, high: float) -> float:
    span = high - low
    if span <= 0 or span == float("inf"):
        # Halved, where the difference of two large numbers is none.
        half = high / 2 - low / 2
        return 0.5 if half <= 0 else (number / 2 - low / 2) / half
    return (number - low) / span


def chart(numbers: Numbers, height: int, *, is_plain: bool = False) -> list[str]:
    """Draw numbers as columns of blocks, from the top line down."""
    known = [one for one in numbers if one is not None]
    if not known or height <= 0:
        return [" " * len(numbers)] * max(0, height)
    low, high = min(known), max(known)
    blocks = PLAIN_BLOCKS if is_plain else BLOCKS
    steps = height * LEVELS
    # At least one step, so that the least number is seen and differs from a hole.
    filled = [0 if one is None else 1 + _level(one, low, high, steps - 1) for one in numbers]
    return [
        "".join(blocks[min(LEVELS, max(0, full - line * LEVELS))] for full in filled)
        for line in range(height - 1, -1, -1)
    ]


def cells_of(time_us: int, interval_s: float, start_us: int, stop_us: int, width: int) -> range:
    """Return the columns of a chart that an interval covers, at least one."""
    span_us = max(1, stop_us - start_us)
    first = (time_us - start_us) * width // span_us
    end = (time_us + round(interval_s * 1e6) - start_us) * width // span_us
    first = max(0, min(width - 1, first))
    return range(first, max(first + 1, min(width, end)))
