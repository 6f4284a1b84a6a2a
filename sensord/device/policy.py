"""Publish policies: which of a channel's samples become readings on the bus, and when.

Pure: times are arguments. ``now_us`` is monotonic and only compared with itself; readings carry
their own wall-clock times.

Theory of operation. Three things stay different: a *changed* value is a new reading; a
*confirmed* one (the device said the same again) is, every ``max_period``, a reading that restates
the old one with its old source time; *silence* publishes nothing, until ``stale_after`` makes the
value uncertain. A heartbeat is therefore never made up by a timer: only a sample can confirm.
Timers serve two cases: a change held back by ``min_period``, and the grid of ``periodic``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Duration, Within
from sensord.model.readings import Level, Quality, Reading, Reason

__all__ = ["Policy", "Publisher", "is_change"]

_US = 1_000_000

_UP_TO_A_YEAR = Within(0, 366 * 86_400.0)

SHORTEST_PERIOD_S = 0.001
"""No device is sampled faster, and the grid must have a width in microseconds."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How a channel is published; written as a ``publish`` table in the configuration.

    Units: ``deadband`` in the channel's own unit, ``deadband_percent`` of the last published value.
    """

    policy: Literal["on_change", "periodic", "every"] = "on_change"
    deadband: float = 0.0
    deadband_percent: float = 0.0
    min_period: Annotated[Duration, _UP_TO_A_YEAR] = 0.0
    max_period: Annotated[Duration, _UP_TO_A_YEAR] = 60.0
    period: Annotated[Duration, _UP_TO_A_YEAR] = 0.0
    stale_after: Annotated[Duration, _UP_TO_A_YEAR] = 0.0

    @property
    def needs_timer(self) -> bool:
        """Whether something may become due without a sample."""
        return bool(self.stale_after or self.period or self.min_period)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if self.deadband < 0:
            yield "deadband", "may not be negative"
        if self.deadband_percent < 0:
            yield "deadband_percent", "may not be negative"
        if self.deadband and self.deadband_percent:
            yield "deadband_percent", "give either deadband or deadband_percent, not both"
        if self.policy == "periodic" and self.period < SHORTEST_PERIOD_S:
            yield "period", 'the policy "periodic" needs a period of 1 ms or more, such as "10s"'
        if self.policy != "periodic" and self.period:
            yield "period", 'only the policy "periodic" has a period; did you mean min_period?'
        if self.max_period and self.max_period < self.min_period:
            yield "max_period", "is shorter than min_period"


def is_change(old: Reading, new: Reading, deadband: float, percent: float) -> bool:
    """Return whether ``new`` differs from ``old`` by more than the deadband, or in quality."""
    if new.quality != old.quality:
        return True
    before, after = old.value, new.value
    # True == 1 and 1 == 1.0 in Python; a change of type is still a change.
    if type(before) is not type(after):
        return True
    if before == after:
        return False
    # A bool is an int to Python, but a switch that turns is never within a deadband.
    if not (deadband or percent) or isinstance(before, bool):
        return True
    if isinstance(before, int | float) and isinstance(after, int | float):
        limit = deadband or abs(before) * percent / 100
        return abs(after - before) > limit
    return True


class Publisher:
    """One channel's policy at work. Feed it samples and time; it returns what to publish."""

    __slots__ = ("_held", "_last", "_next_us", "_policy", "_seen_us", "_sent_us", "_stale")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._last: Reading | None = None  # what was published last
        self._sent_us = 0  # when
        self._held: Reading | None = None  # a sample that waits for its time
        self._next_us: int | None = None  # periodic: the next point of the grid
        self._seen_us = 0  # when a sample came last
        self._stale = False

    def offer(self, now_us: int, reading: Reading) -> Reading | None:
        """Process a sample; return what to publish now, if anything."""
        policy = self._policy
        self._seen_us = now_us
        if policy.policy == "every":
            self._last = reading
            self._stale = False
            return reading
        if policy.policy == "periodic":
            return self._offer_periodic(now_us, reading)
        last = self._last
        if last is None:
            return self._publish(now_us, reading)
        waited_us = now_us - self._sent_us
        if self._stale or is_change(last, reading, policy.deadband, policy.deadband_percent):
            if waited_us >= policy.min_period * _US:
                return self._publish(now_us, reading)
            self._held = reading
            return None
        self._held = None  # it came back to what is known
        if policy.max_period and waited_us >= policy.max_period * _US:
            if reading.value == last.value:
                reading = last._replace(restates=True)
            return self._publish(now_us, reading)
        return None

    def _offer_periodic(self, now_us: int, reading: Reading) -> Reading | None:
        if self._next_us is None:
            self._next_us = now_us + int(self._policy.period * _US)
            return self._publish(now_us, reading)
        if self._stale:
            return self._publish(now_us, reading)  # it is back: that does not wait for the grid
        self._held = reading
        return self.tick(now_us)

    @property
    def last(self) -> Reading | None:
        """What was published last."""
        return self._last

    @property
    def due_us(self) -> int | None:
        """When `tick` has something to do, or None."""
        held_us, stale_us = self._held_due_us(), self._stale_due_us()
        if held_us is None or stale_us is None:
            return stale_us if held_us is None else held_us
        return min(held_us, stale_us)

    def _held_due_us(self) -> int | None:
        """When the sample that is held may be published."""
        if self._held is None:
            return None
        if self._next_us is not None:
            return self._next_us
        return self._sent_us + int(self._policy.min_period * _US)

    def _stale_due_us(self) -> int | None:
        """When silence makes the value uncertain."""
        if not self._policy.stale_after or self._last is None or self._stale:
            return None
        return self._seen_us + int(self._policy.stale_after * _US)

    def tick(self, now_us: int) -> Reading | None:
        """Return what has become due by ``now_us``, if anything."""
        held_us, stale_us = self._held_due_us(), self._stale_due_us()
        if held_us is not None and now_us >= held_us:
            assert self._held is not None
            if self._next_us is not None:
                # Stay on the grid; points that passed in silence are skipped, not made up.
                period_us = int(self._policy.period * _US)
                self._next_us += period_us * ((now_us - self._next_us) // period_us + 1)
            if self._is_silent(now_us):
                return self._go_stale(now_us, self._held)
            return self._publish(now_us, self._held)
        if stale_us is not None and now_us >= stale_us:
            known = self._held or self._last
            assert known is not None
            return self._go_stale(now_us, known)
        return None

    def _is_silent(self, now_us: int) -> bool:
        stale_after = self._policy.stale_after
        return bool(stale_after) and now_us - self._seen_us >= int(stale_after * _US)

    def _go_stale(self, now_us: int, known: Reading) -> Reading | None:
        # What was bad does not become better by silence.
        level = max(known.quality.level, Level.UNCERTAIN)
        return self.spoil(now_us, Quality(level, Reason.STALE))

    def recall(self, now_us: int, reading: Reading) -> Reading | None:
        """Accept a value of unknown age; return what to publish now, if anything.

        It never replaces a value that a sample brought since the last `spoil`. The next sample is
        published at once as a change, whatever it holds.
        """
        last = self._last
        if self._held is not None or (last is not None and not self._stale):
            return None
        if last is not None and last[:3] == reading[:3]:
            return None
        return self._doubt(now_us, reading)

    def withdraw(self, now_us: int, reading: Reading) -> Reading | None:
        """Accept that there is no value any more; return what to publish now, if anything."""
        if self._held is None and self._last is not None and self._last[1:3] == reading[1:3]:
            return None
        return self._doubt(now_us, reading)

    def _doubt(self, now_us: int, reading: Reading) -> Reading:
        self._publish(now_us - int(self._policy.min_period * _US), reading)
        self._stale = True
        return reading

    def spoil(self, now_us: int, quality: Quality) -> Reading | None:
        """Return the last value with ``quality``; None if nothing was published yet.

        The next sample is published as a change, whatever it holds.
        """
        if self._held is not None:
            spoiled = self._held._replace(quality=quality)
        elif self._last is not None and self._last.quality != quality:
            spoiled = self._last._replace(quality=quality, restates=True)
        else:
            self._stale = self._last is not None
            return None
        self._publish(now_us, spoiled)
        self._stale = True
        return spoiled

    def _publish(self, now_us: int, reading: Reading) -> Reading:
        self._last = reading
        self._sent_us = now_us
        self._held = None
        self._stale = False
        return reading
