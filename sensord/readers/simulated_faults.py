"""Disturb simulated signals to order: noise, stuck values, drop-outs, spikes, garbage and more.

Pure: what a fault does depends on its seed, the tick and the time of the tick alone, so a run can
be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Duration, Within
from sensord.decode.base import Sample

__all__ = ["Disturbance", "Fault"]

_UP_TO_A_YEAR = Within(0, 366 * 86_400.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: after ``after``, for ``lasts`` in each ``every``.

    Units: ``amount`` is the standard deviation of noise, the height of spikes, the seconds that the
    clock is ahead or that an answer takes.
    """

    type: Literal["noise", "stuck", "dropout", "spikes", "garbage", "clock", "slow", "dead"]
    signals: tuple[str, ...] = ()
    """Empty for all."""
    after: Annotated[Duration, _UP_TO_A_YEAR] = 0.0
    every: Annotated[Duration, Within(0.001, 366 * 86_400.0)] = 60.0
    lasts: Annotated[Duration, _UP_TO_A_YEAR] = 10.0
    chance: Annotated[float, Within(0, 1)] = 1.0
    """Of each value in that time."""
    amount: float = 1.0
    seed: int = 0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if self.lasts > self.every:
            yield "lasts", f"must not be above every, which is {self.every:g} s"
        if self.signals and self.type in {"slow", "dead"}:
            yield "signals", f"{self.type} is of the whole device"
        if self.amount < 0 and self.type in {"noise", "slow"}:
            yield "amount", "may not be negative"

    def is_active(self, at_s: float) -> bool:
        """Return whether it is there at a time since the start."""
        return at_s >= self.after and (at_s - self.after) % self.every < self.lasts


class Disturbance:
    """All faults of a device; it remembers only what stuck values were."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = faults
        self._stuck: dict[tuple[int, str], Sample] = {}

    def is_dead(self, at_s: float) -> bool:
        """Return whether the device does not answer at all."""
        return any(one.type == "dead" and one.is_active(at_s) for one in self._faults)

    def delay_s(self, at_s: float) -> float:
        """Return how long the answer needs."""
        slow = (one for one in self._faults if one.type == "slow" and one.is_active(at_s))
        return sum(one.amount for one in slow)

    def disturbed(
        self, samples: Sequence[Sample], tick: int, at_s: float, wall_us: int
    ) -> list[Sample]:
        """Return what the device sends instead of ``samples``."""
        found: list[Sample] = []
        for sample in samples:
            disturbed: Sample | None = sample
            for index, fault in enumerate(self._faults):
                if disturbed is None:
                    break
                disturbed = self._by(fault, index, disturbed, tick, at_s, wall_us)
            if disturbed is not None:
                found.append(disturbed)
        return found

    def _by(
        self, fault: Fault, index: int, sample: Sample, tick: int, at_s: float, wall_us: int
    ) -> Sample | None:
        name = sample.field
        if fault.signals and name not in fault.signals:
            return sample
        if not fault.is_active(at_s):
            self._stuck.pop((index, name), None)
            return sample
        chance = random.Random(f"{fault.seed}/{index}/{name}/{tick}")  # noqa: S311  # not a secret
        if chance.random() >= fault.chance:
            return sample
        value = sample.value
        match fault.type:
            case "dropout":
                return None
            case "stuck":
                return self._stuck.setdefault((index, name), sample)
            case "garbage":
                text = "".join(chr(chance.randrange(33, 127)) for _ in range(8))
                return sample._replace(value=f"?{text}")
            case "clock":
                return sample._replace(time_us=wall_us + round(fault.amount * 1e6))
            case "noise" if isinstance(value, int | float):
                return sample._replace(value=value + chance.gauss(0, fault.amount))
            case "spikes" if isinstance(value, int | float):
                return sample._replace(value=value + chance.choice((-1, 1)) * fault.amount)
        return sample
