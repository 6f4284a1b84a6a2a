"""When an alarm is on, and what becomes of it: raised, acknowledged, cleared, shelved.

Pure: times are arguments. ``now_us`` is monotonic and only compared with itself; what people read
carries wall time.

Theory of operation. A `Condition` decides from readings and silence whether the alarm is on; a
`Life` keeps what people did about it. A value that cannot be trusted decides little: a bad one
leaves a limit's verdict as it was, an uncertain one may raise an alarm and never clears it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sensord.config.alarms import Alarm
from sensord.model.readings import Level, Reading, Value

__all__ = ["TRANSITIONS", "Condition", "Event", "Life", "State", "after"]

_US = 1_000_000


class State(enum.StrEnum):
    """What an alarm asks of people."""

    NORMAL = "normal"
    RAISED = "raised"
    """It is on and unacknowledged."""
    ACKNOWLEDGED = "acknowledged"
    """It is on and acknowledged."""
    CLEARED = "cleared"
    """It is off again, and was not acknowledged while it was on."""


class Event(enum.StrEnum):
    """What changes the state."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.NORMAL, Event.RAISED): State.RAISED,
    (State.RAISED, Event.ACKNOWLEDGED): State.ACKNOWLEDGED,
    (State.RAISED, Event.CLEARED): State.CLEARED,
    (State.ACKNOWLEDGED, Event.CLEARED): State.NORMAL,
    (State.CLEARED, Event.RAISED): State.RAISED,
    (State.CLEARED, Event.ACKNOWLEDGED): State.NORMAL,
}
"""A missing pair changes nothing."""


def after(state: State, event: Event) -> State | None:
    """Return the next state, or None if the event changes nothing."""
    return TRANSITIONS.get((state, event))


class Condition:
    """Whether an alarm is on."""

    def __init__(self, rules: Alarm, now_us: int, *, is_on: bool = False) -> None:
        """Begin at ``now_us``; ``is_on`` is the verdict of before the start."""
        self._rules = rules
        self.is_on = is_on
        self.cause = ""
        self._limit = is_on
        """The verdict on the value; `_bad` that on its quality."""
        self._limit_cause = ""
        self._bad = False
        self._heard_us = now_us
        self._wanted = is_on
        self._since_us = now_us

    @property
    def due_us(self) -> int | None:
        """When time alone may change the verdict."""
        times = []
        if self._wanted is not self.is_on:
            times.append(self._since_us + self._delay_us())
        if self._rules.stale is not None and not self._is_silent(self._heard_us):
            silent_us = self._heard_us + round(self._rules.stale * _US)
            if not self._wanted:
                times.append(silent_us)
        return min(times, default=None)

    def reading(self, reading: Reading, now_us: int) -> bool:
        """Evaluate a reading that came at ``now_us``; return whether the alarm went on or off.

        Call `tick` with the same time first: a delay may have passed meanwhile.
        """
        before = self.is_on
        level = reading.quality.level
        if level is Level.GOOD or (level is Level.UNCERTAIN and not reading.restates):
            self._heard_us = now_us
        threshold = {"bad": Level.BAD, "uncertain": Level.UNCERTAIN, None: None}
        least = threshold[self._rules.quality]
        self._bad = least is not None and level >= least
        verdict = None if level is Level.BAD else self._judge(reading.value)
        if verdict or (verdict is not None and level is Level.GOOD):
            self._limit, self._limit_cause = bool(verdict), verdict
        self._update(now_us)
        return self.is_on is not before

    def tick(self, now_us: int) -> bool:
        """Advance the time; return whether the alarm went on or off."""
        before = self.is_on
        self._settle(now_us)
        self._update(now_us)
        return self.is_on is not before

    def _judge(self, value: Value) -> str | None:
        """Return the limit that a value breaks, an empty text for no limit, None if unknown."""
        rules = self._rules
        if rules.equals is not None and type(value) is type(rules.equals) and value == rules.equals:
            return "equals"
        if isinstance(value, bool) or not isinstance(value, int | float):
            has_limits = rules.highest is not None or rules.lowest is not None
            return None if has_limits else ""
        is_equal = isinstance(rules.equals, int | float) and not isinstance(rules.equals, bool)
        if is_equal and value == rules.equals:
            return "equals"
        slack = rules.hysteresis if self._limit else 0.0
        if rules.highest is not None and value > rules.highest - slack:
            return "above"
        if rules.lowest is not None and value < rules.lowest + slack:
            return "below"
        return ""

    def _is_silent(self, now_us: int) -> bool:
        stale = self._rules.stale
        return stale is not None and now_us - self._heard_us >= round(stale * _US)

    def _delay_us(self) -> int:
        return round((self._rules.delay if self._wanted else self._rules.off_delay) * _US)

    def _settle(self, now_us: int) -> None:
        """Do what was due before ``now_us``: a delay that had passed counts."""
        if self._wanted is not self.is_on and now_us - self._since_us >= self._delay_us():
            self.is_on = self._wanted

    def _update(self, now_us: int) -> None:
        is_silent = self._is_silent(now_us)
        wanted = self._limit or self._bad or is_silent
        if wanted:
            found = "quality" if self._bad else "stale"
            self.cause = self._limit_cause if self._limit and self._limit_cause else found
        if wanted is not self._wanted:
            self._wanted, self._since_us = wanted, now_us
        self._settle(now_us)


@dataclass(frozen=True, slots=True)
class Life:
    """What became of an alarm, and who did what about it.

    Units: times in microseconds since 1970-01-01 UTC, 0 for never.
    """

    state: State = State.NORMAL
    since_us: int = 0
    raised_us: int = 0
    cleared_us: int = 0
    count: int = 0
    cause: str = ""
    value: Value = None
    """The value that raised it."""
    acknowledged: Mapping[str, Value] | None = None
    """``us``, ``by`` and ``text`` of the last acknowledgement since it was raised."""
    shelved: Mapping[str, Value] | None = None
    """``until_us``, ``by`` and ``text`` while it is shelved."""

    @property
    def is_on(self) -> bool:
        """Whether the condition holds."""
        return self.state in {State.RAISED, State.ACKNOWLEDGED}

    def raised(self, wall_us: int, cause: str, value: Value) -> Life | None:
        """Return the alarm raised; None if it is on already."""
        state = after(self.state, Event.RAISED)
        if state is None:
            return None
        changed = replace(self, state=state, since_us=wall_us, raised_us=wall_us, cleared_us=0)
        return replace(changed, count=self.count + 1, cause=cause, value=value, acknowledged=None)

    def cleared(self, wall_us: int) -> Life | None:
        """Return the alarm cleared; None if it is off already."""
        state = after(self.state, Event.CLEARED)
        if state is None:
            return None
        return replace(self, state=state, since_us=wall_us, cleared_us=wall_us)

    def acknowledge(self, wall_us: int, by: Mapping[str, Value], text: str) -> Life | None:
        """Return the alarm acknowledged; None if there is nothing to acknowledge."""
        state = after(self.state, Event.ACKNOWLEDGED)
        if state is None:
            return None
        act: dict[str, Value] = {"us": wall_us, "by": dict(by), "text": text}
        return replace(self, state=state, since_us=wall_us, acknowledged=act)

    def shelve(self, until_us: int, by: Mapping[str, Value], text: str) -> Life:
        """Return the alarm shelved."""
        return replace(self, shelved={"until_us": until_us, "by": dict(by), "text": text})

    def unshelve(self) -> Life:
        """Return the alarm, no longer shelved."""
        return replace(self, shelved=None)

    def to_value(self) -> dict[str, Value]:
        """Return the row for the store, which with the rules is published under ``$sys/alarms``."""
        return {
            "state": self.state.value,
            "since_us": self.since_us,
            "raised_us": self.raised_us,
            "cleared_us": self.cleared_us,
            "count": self.count,
            "cause": self.cause,
            "value": self.value,
            "acknowledged": None if self.acknowledged is None else dict(self.acknowledged),
            "shelved": None if self.shelved is None else dict(self.shelved),
        }

    @classmethod
    def of(cls, kept: Value) -> Life:
        """Return the alarm that `to_value` wrote; a new one for anything else."""
        match kept:
            case {
                "state": "normal" | "raised" | "acknowledged" | "cleared" as state,
                "since_us": int(since_us),
                "raised_us": int(raised_us),
                "cleared_us": int(cleared_us),
                "count": int(count),
                "cause": str(cause),
                "value": value,
                "acknowledged": dict() | None as acknowledged,
                "shelved": ({"until_us": int()} | None) as shelved,
            }:
                times = (since_us, raised_us, cleared_us)
                life = cls(State(state), *times, count, cause, value)
                seen = acknowledged if isinstance(acknowledged, dict) else None
                off = shelved if isinstance(shelved, dict) else None
                return replace(life, acknowledged=seen, shelved=off)
        return cls()
