"""Make readings out of nothing: waves, walks and noise, for demos, tests and load.

Each signal is one period of its wave, worked out when the reader is built; a tick looks the values
up. The noise is a second table, of another length, so that the sum does not repeat with the period.
With ``decimals`` both tables hold integers in units of the last decimal: adding them and dividing
once gives the rounded value, at a fifth of the cost of rounding.

The same seed gives the same values in every run.
"""

from __future__ import annotations

import asyncio
import functools
import math
import random
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NoReturn, assert_never, cast

from sensord.config.schema import Duration, Path, Within
from sensord.decode.base import Sample
from sensord.device.backoff import LOCAL, Limits
from sensord.device.reader import Link, Order
from sensord.errors import DeviceError
from sensord.model.readings import GOOD, Value
from sensord.readers.simulated_faults import Disturbance, Fault
from sensord.readers.ticks import next_tick

__all__ = ["Config", "Reader", "Signal", "Write", "wave"]

STEPS_RANGE = (256, 4096)
"""How finely a period is cut: as finely as the ticks fall, within these."""

WALK_PERIODS = 64
"""A random walk repeats after this many periods."""

WALK_STEPS = 64 * WALK_PERIODS

_LIMITS = Within(-1e290, 1e290)
"""Rounded to 9 decimals, and twice as wide, they are still finite."""

NOISE_STEPS = 1021
"""A prime: the noise has no common beat with any wave's table."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One made-up quantity.

    It moves between ``low`` and ``high`` once a ``period`` (``constant`` stays at ``low``, whatever
    ``high``), plus noise of the standard deviation ``noise``, in the signal's own unit.
    """

    shape: Literal["sine", "ramp", "random_walk", "step", "constant"] = "sine"
    low: Annotated[float, _LIMITS] = 0.0
    high: Annotated[float, _LIMITS] = 1.0
    period: Annotated[Duration, Within(0.001, 366 * 86_400.0)] = 60.0
    noise: Annotated[float, Within(0, 1e290)] = 0.0
    decimals: Annotated[int, Within(0, 9)] | None = None
    seed: int = 0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what cannot be made a wave."""
        if self.low > self.high and self.shape != "constant":
            yield "low", f"must not be above high, which is {self.high:g}"


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``simulated``."""

    needs_decoder: ClassVar[bool] = False

    signals: dict[str, Signal] = field(default_factory=lambda: {"value": Signal()})
    interval: Annotated[Duration, Within(0.001, 30 * 86_400.0)] = 1.0
    copies: Annotated[int, Within(1, 100_000)] = 1
    fault: tuple[Fault, ...] = ()
    """What goes wrong, to order."""

    def faults(self) -> Iterator[tuple[str | Path, str]]:
        """Yield what would make no readings, or too many."""
        if not self.signals:
            yield "signals", "at least one is needed"
        for index, one in enumerate(self.fault):
            for name in one.signals:
                if self.copies == 1 and name not in self.signals:
                    yield ("fault", index, "signals"), f"there is no signal {name}"


@dataclass(frozen=True, slots=True)
class Write:
    """What a command does to the made-up device.

    A signal that is set stays at its value. ``sets`` are the signals that an action sets, ``delay``
    is the time that it takes, and ``is_deaf`` makes a device that does nothing.
    """

    sets: dict[str, float] = field(default_factory=dict)
    delay: Annotated[Duration, Within(0, 3600)] = 0.0
    is_deaf: bool = False

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield nothing: nothing is sent."""
        yield from ()

    def message(self, values: Mapping[str, Value]) -> dict[str, float]:
        """Return the signals to set; an empty name means the one that is written."""
        value = values.get("value")
        if isinstance(value, str):
            raise ValueError("value: a simulated signal is a number")  # noqa: TRY004  # as every Write does
        return self.sets if value is None else {"": float(cast("float", value)), **self.sets}


def wave(signal: Signal, phase: float) -> float:
    """Return a signal's value at a phase from 0 up to 1, without noise.

    A random walk has no such function; see `walk`.
    """
    span = signal.high - signal.low
    match signal.shape:
        case "sine":
            return signal.low + span * (1 + math.sin(2 * math.pi * phase)) / 2
        case "ramp":
            return signal.low + span * phase
        case "step":
            return signal.high if phase >= 0.5 else signal.low  # noqa: PLR2004  # half of a period
        case "constant" | "random_walk":
            return signal.low
        case _:
            assert_never(signal.shape)


def walk(signal: Signal, steps: int, chance: random.Random) -> list[float]:
    """Return a random walk from ``low`` to ``high`` that ends where it began."""
    positions = [0.0]
    for _ in range(steps):
        positions.append(positions[-1] + chance.gauss(0, 1))
    drift = positions.pop() / steps
    level = [position - drift * i for i, position in enumerate(positions)]
    lowest, highest = min(level), max(level)
    scale = (signal.high - signal.low) / ((highest - lowest) or 1.0)
    return [signal.low + (position - lowest) * scale for position in level]


class _Source:
    """One signal and its copies, which differ by their places in the tables.

    Both tables are held twice over, so that an index of a copy needs no second modulo.
    """

    def __init__(self, name: str, signal: Signal, copies: int, interval_s: float) -> None:
        chance = random.Random(f"{name}/{signal.seed}")  # noqa: S311  # not a secret
        self.names = [name] if copies == 1 else [f"{name}/{i}" for i in range(1, copies + 1)]
        table = _table(signal, interval_s, chance)
        turns = WALK_PERIODS if signal.shape == "random_walk" else 1
        self._steps = len(table)
        self._steps_per_s = self._steps / (signal.period * turns)
        self._scale = 1.0
        noise = [chance.gauss(0, signal.noise) for _ in range(NOISE_STEPS if signal.noise else 0)]
        if signal.decimals is not None:
            scale = 10**signal.decimals
            self._scale = float(scale)
            table = [float(round(value * scale)) for value in table]
            noise = [float(round(value * scale)) for value in noise]
        self._wave = array("d", table + table)  # a third of a list's memory
        self._noise = array("d", noise + noise)
        self._offsets = [i * self._steps // copies for i in range(copies)]
        self._noise_offsets = [chance.randrange(NOISE_STEPS) for _ in range(copies)]

    def values(self, tick: int, at_s: float) -> list[float]:
        """Return the value of every copy, ``at_s`` seconds from the start."""
        base = int(at_s * self._steps_per_s) % self._steps
        table, scale = self._wave, self._scale
        if not self._noise:
            return [table[base + offset] / scale for offset in self._offsets]
        shift, noise = tick % NOISE_STEPS, self._noise
        if len(self._offsets) == 1:  # half the cost where every signal is its own
            return [(table[base] + noise[shift + self._noise_offsets[0]]) / scale]
        return [
            (table[base + offset] + noise[shift + noise_offset]) / scale
            for offset, noise_offset in zip(self._offsets, self._noise_offsets, strict=True)
        ]


def _table(signal: Signal, interval_s: float, chance: random.Random) -> list[float]:
    least, most = STEPS_RANGE
    if signal.shape == "random_walk":
        return walk(signal, WALK_STEPS, chance)
    steps = min(max(math.ceil(signal.period / interval_s), least), most)
    return [wave(signal, i / steps) for i in range(steps)]


# `Sample(name, value)` costs 0.21 µs, this 0.11: it is made ten thousand times a second.
_sample: Callable[[Iterable[Any]], Sample] = functools.partial(tuple.__new__, Sample)


class Reader:
    """Makes readings at every tick."""

    limits: Limits = LOCAL

    def __init__(self, config: Config) -> None:
        self._config = config
        self._held: dict[str, float] = {}
        """By their names, the signals that were set."""
        self._link: Link | None = None
        self._disturbance = Disturbance(config.fault)
        self._began_s: float | None = None
        """When the first run began: faults continue through the runs that they end."""

    async def write(self, order: Order) -> None:
        """Set signals, and confirm it at once.

        Raises:
            DeviceError: It is not running.
        """
        if self._link is None:
            raise DeviceError("not running")
        order.sending()
        how: Write = order.how
        if how.delay:
            await asyncio.sleep(how.delay)
        if how.is_deaf:
            return
        message: dict[str, float] = order.message
        fresh = {name or order.field: value for name, value in message.items()}
        self._held |= fresh
        self._link.samples(
            [_sample((name, value, GOOD, None, None, None)) for name, value in fresh.items()]
        )

    async def run(self, link: Link) -> NoReturn:
        """Hand on all signals at every tick; never ends by itself."""
        config = self._config
        sources = []
        for name, signal in config.signals.items():
            sources.append(_Source(name, signal, config.copies, config.interval))
            await asyncio.sleep(0)  # a table takes a millisecond; two hundred must not stall others
        names = [name for source in sources for name in source.names]
        places = {name: place for place, name in enumerate(names)}
        good, none = [GOOD] * len(names), [None] * len(names)
        due, tick = time.monotonic(), 0
        if config.fault:
            self._began_s = due if self._began_s is None else self._began_s
            tick = int((due - self._began_s) / config.interval)
            self._check_alive(tick)
        self._link = link
        link.opened(f"{len(names)} simulated signals every {config.interval:g} s")
        while True:
            values: list[float] = []
            for source in sources:
                values += source.values(tick, tick * config.interval)
            for name, value in self._held.items():
                if name in places:
                    values[places[name]] = value
            samples = list(map(_sample, zip(names, values, good, none, none, none, strict=True)))
            if config.fault:
                samples = await self._disturbed(samples, tick)
            link.samples(samples)
            due, missed = next_tick(due, config.interval, time.monotonic())
            tick += 1 + missed
            await asyncio.sleep(due - time.monotonic())

    def _check_alive(self, tick: int) -> None:
        """Check that the device is not dead.

        Raises:
            DeviceError: It is, to order.
        """
        if self._disturbance.is_dead(tick * self._config.interval):
            raise DeviceError("dead to order", "a fault of the simulated device")

    async def _disturbed(self, samples: list[Sample], tick: int) -> list[Sample]:
        """Return what a device with faults sends, when it has answered."""
        self._check_alive(tick)
        at_s = tick * self._config.interval
        if delay_s := self._disturbance.delay_s(at_s):
            await asyncio.sleep(delay_s)
        wall_us = time.time_ns() // 1000
        return self._disturbance.disturbed(samples, tick, at_s, wall_us)
