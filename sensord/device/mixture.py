"""Recognise one channel that several devices feed, by an adjacent id that alternates.

Pure. An id that changes once is a device that was replaced; one that counts up is a number of
messages. Only what comes back, or is a number here and a text there, is several devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sensord.config.device_ids import is_id, is_label
from sensord.model.readings import Value

__all__ = ["SEVERAL_DEVICES", "Mixture", "mixture_of"]

SEVERAL_DEVICES = "several devices in one channel"

SEE = "see docs/decoders.md#several-devices-in-one-stream"

MOST_REMEMBERED = 8


class Mixture:
    """Looks at the values of one field that may name a device."""

    __slots__ = ("_is_label", "_last", "_seen")

    def __init__(self, *, is_label: bool) -> None:
        self._is_label = is_label
        self._last: Value = None
        self._seen: list[Value] | None = []

    def see(self, field: str, value: Value) -> str | None:
        """Look at the next value; return once what it shows and what helps."""
        seen = self._seen
        if seen is None or value == self._last or not isinstance(value, int | float | str):
            return None
        self._last = value
        is_mixed = any(isinstance(one, str) is not isinstance(value, str) for one in seen)
        # A label is never replaced: where another one stands, another quantity does.
        is_shown = is_mixed or (self._is_label and bool(seen))
        if value not in seen and not (is_shown and value != ""):
            if value != "" and len(seen) < MOST_REMEMBERED:
                seen.append(value)
                if len(seen) == MOST_REMEMBERED and _counts(seen):
                    self._seen = None
            return None
        if len(seen) == 1 and value in seen:
            return None  # only an empty text stood between
        self._seen = None
        others = ", ".join(f"{one!s:.40}" for one in [*seen, value][:3])
        if self._is_label:
            return f"{field} is {others} by turns: what stands there in its list changes; {SEE}"
        return f"{field} is {others} by turns, and their values share channels; {SEE}"


def _counts(values: Sequence[Value]) -> bool:
    """Return whether values are a count of something, which may restart."""
    numbers = [one for one in values if isinstance(one, int | float)]
    steps = {after - before for before, after in pairwise(numbers)}
    return len(numbers) == len(values) and len(steps) == 1


def mixture_of(field: str) -> Mixture | None:
    """Return what looks at a field, or None for one that names no device."""
    label = is_label(field)
    return Mixture(is_label=label) if label or is_id(field) else None
