"""Whose turn it is on a bus: when each block is due, and how long a silent unit is spared.

Theory of operation. Of the blocks that are due the one that has waited longest is read. A unit
that does not answer is asked again at its next turn, after the others; after `TRIES` requests in a
row its *breaker* opens: it is only probed, so seldom that all silent units together cost at most
`PROBE_SHARE` of the time. One answer closes the breaker. Times are arguments. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from sensord.readers.modbus.groups import Block
from sensord.readers.ticks import next_tick

__all__ = ["Job", "Turns"]

TRIES = 3
"""Unanswered requests in a row after which a unit counts as silent: noise takes one or two."""

PROBE_SHARE = 0.04
"""Of the bus's time that probes may take; a unit that falls silent needs the rest up to 5 %."""

LONGEST_PROBE_S = 60.0
"""A unit that is switched on again is found within this time, however many are silent, unless one
probe of it costs more than its share."""


class Job(NamedTuple):
    """A block of a unit, to be read now."""

    unit: str
    block: Block
    is_probe: bool


@dataclass(slots=True)
class _Unit:
    due: dict[Block, float] = field(default_factory=dict)
    unanswered: int = 0
    is_silent: bool = False
    probe_due: float = 0.0
    spared_until: float = 0.0
    """A late answer may come up to then, and would pass for the next one."""


class Turns:
    """The turns of the units on one bus."""

    def __init__(self, blocks: Mapping[str, Iterable[Block]], now: float) -> None:
        self._units = {name: _Unit(due=dict.fromkeys(own, now)) for name, own in blocks.items()}

    @property
    def are_all_silent(self) -> bool:
        """Whether no unit answers."""
        return all(unit.is_silent for unit in self._units.values())

    def is_silent(self, name: str) -> bool:
        """Return whether a unit's breaker is open."""
        return self._units[name].is_silent

    def spared_until(self, name: str) -> float:
        """Return until when a late answer of a unit may come."""
        return self._units[name].spared_until

    def next(self, now: float) -> Job | float:
        """Return what to read now, or when there will be something."""
        best: tuple[float, Job] | None = None
        wake = float("inf")
        for name, unit in self._units.items():
            if not unit.due:
                continue
            block = min(unit.due, key=unit.due.__getitem__)
            due = max(unit.due[block], unit.spared_until)
            if unit.is_silent:
                due = max(due, unit.probe_due)
            if due > now:
                wake = min(wake, due)
            elif best is None or due < best[0]:
                best = (due, Job(name, block, unit.is_silent))
        return wake if best is None else best[1]

    def answered(self, job: Job, now: float) -> bool:
        """Note that a unit answered; return whether it was silent before."""
        unit = self._units[job.unit]
        was_silent = unit.is_silent
        unit.unanswered, unit.is_silent = 0, False
        if job.block in unit.due:
            unit.due[job.block], _ = next_tick(unit.due[job.block], job.block.interval, now)
        return was_silent

    def unanswered(self, job: Job, now: float, cost_s: float, *, late_s: float = 0.0) -> bool:
        """Note that a unit did not answer; return whether it counts as silent since now.

        ``cost_s`` is how long the request took, ``late_s`` how long its answer may still come.
        """
        unit = self._units[job.unit]
        unit.unanswered += 1
        unit.spared_until = now + late_s
        if unit.unanswered < TRIES and not unit.is_silent:
            return False
        became_silent = not unit.is_silent
        unit.is_silent = True
        silent = sum(one.is_silent for one in self._units.values())
        pause_s = cost_s / PROBE_SHARE * silent
        least_s = max(1.0, cost_s / PROBE_SHARE)
        unit.probe_due = now + max(least_s, min(pause_s, LONGEST_PROBE_S))
        # Another block next time: this one may be what the unit does not answer.
        unit.due[job.block], _ = next_tick(unit.due[job.block], job.block.interval, now)
        return became_silent

    def replace(self, job: Job, blocks: Iterable[Block], now: float) -> None:
        """Read a block in other pieces from now on."""
        unit = self._units[job.unit]
        del unit.due[job.block]
        unit.due |= dict.fromkeys(blocks, now)
