"""The simulated reader."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any, Literal

import pytest

from sensord.config.schema import Faults, structure
from sensord.decode.base import Sample
from sensord.readers.simulated import Config, Reader, Signal, _Source, walk, wave
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop

Shape = Literal["sine", "ramp", "random_walk", "step", "constant"]


def found(table: dict[str, Any]) -> list[tuple[str, str]]:
    faults = Faults()
    structure(Config, table, (), faults)
    return [(".".join(map(str, path)), message) for path, message in faults.found]


@pytest.mark.parametrize(
    ("shape", "phase", "value"),
    [
        ("sine", 0.0, 15.0),
        ("sine", 0.25, 20.0),
        ("sine", 0.75, 10.0),
        ("ramp", 0.0, 10.0),
        ("ramp", 0.5, 15.0),
        ("step", 0.49, 10.0),
        ("step", 0.5, 20.0),
        ("constant", 0.7, 10.0),
    ],
)
def test_a_wave_is_a_function_of_its_phase(shape: Shape, phase: float, value: float) -> None:
    """Each shape runs between low and high."""
    assert wave(Signal(shape, low=10, high=20), phase) == pytest.approx(value)


def test_a_walk_stays_within_its_limits_and_closes() -> None:
    """It touches both limits, and its end is as near to its beginning as any two steps are."""
    positions = walk(Signal("random_walk", low=-3, high=4), 4096, random.Random(1))
    assert (min(positions), max(positions)) == pytest.approx((-3, 4))
    steps = [abs(b - a) for a, b in itertools.pairwise(positions)]
    assert abs(positions[0] - positions[-1]) <= max(steps)


def values(signal: Signal, ticks: int = 2000, copies: int = 1) -> list[list[float]]:
    source = _Source("value", signal, copies, 0.02)
    return [source.values(tick, tick * 0.02) for tick in range(ticks)]


@pytest.mark.parametrize("shape", ["sine", "ramp", "random_walk", "step", "constant"])
def test_the_same_seed_gives_the_same_values(shape: Shape) -> None:
    """A run can be repeated; another seed gives other noise."""
    signal = Signal(shape, noise=0.2, decimals=3, seed=7)
    assert values(signal) == values(Signal(shape, noise=0.2, decimals=3, seed=7))
    assert values(signal) != values(Signal(shape, noise=0.2, decimals=3, seed=8))


@pytest.mark.parametrize("decimals", [0, 2, 9])
def test_values_are_rounded_as_round_does(decimals: int) -> None:
    """Dividing integers gives exactly the nearest decimal."""
    for (value,) in values(Signal(low=-100, high=100, noise=3, decimals=decimals)):
        assert value == round(value, decimals)


def test_noise_has_the_deviation_asked_for() -> None:
    """Its mean is nought."""
    (noisy,) = zip(*values(Signal("constant", low=50, noise=2)), strict=True)
    mean = sum(noisy) / len(noisy)
    deviation = (sum((one - mean) ** 2 for one in noisy) / len(noisy)) ** 0.5
    assert mean == pytest.approx(50, abs=0.3)
    assert deviation == pytest.approx(2, rel=0.1)


def test_copies_follow_one_another() -> None:
    """Each has its own name and its own place in the wave."""
    source = _Source("load", Signal(period=1.0), 4, 0.02)
    assert source.names == ["load/1", "load/2", "load/3", "load/4"]
    assert len(set(source.values(3, 0.06))) == 4


@on_each_loop
async def test_every_tick_brings_every_signal() -> None:
    """What is handed on are samples with the signals' names."""
    signals = {"a": Signal("constant", low=1), "b": Signal(decimals=2)}
    link = RecordingLink()
    task = asyncio.ensure_future(Reader(Config(signals, interval=0.001, copies=2)).run(link))
    await link.until(lambda link: len(link.batches) >= 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert link.details == ["4 simulated signals every 0.001 s"]
    for batch in link.batches:
        assert [sample.field for sample in batch] == ["a/1", "a/2", "b/1", "b/2"]
        assert all(type(sample) is Sample for sample in batch)
        assert batch[0] == Sample("a/1", 1.0)


@on_each_loop
async def test_ticks_missed_by_a_stalled_loop_are_not_made_up_for() -> None:
    """After a stall of many intervals one batch comes, not a burst of them."""
    link = RecordingLink()
    task = asyncio.ensure_future(Reader(Config(interval=0.01)).run(link))
    await link.until(lambda link: link.batches)
    before = len(link.batches)
    stalled_s = 0.2
    end = asyncio.get_running_loop().time() + stalled_s
    while asyncio.get_running_loop().time() < end:
        pass
    await link.until(lambda link: len(link.batches) >= before + 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(link.batches) < before + 10


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        ({"signals": {}}, "signals", "at least one"),
        ({"interval": 0}, "interval", "1ms"),
        ({"signals": {"a": {"low": 2, "high": 1}}}, "signals.a.low", "above high"),
        ({"signals": {"a": {"low": 2}}}, "signals.a.low", "above high, which is 1"),
        ({"signals": {"a": {"period": 0}}}, "signals.a.period", 'from "1ms"'),
        ({"signals": {"a": {"noise": -1}}}, "signals.a.noise", "from 0"),
        ({"signals": {"a": {"shape": "sin"}}}, "signals.a.shape", "sine"),
        ({"signals": {"a": {"high": 1e308}}}, "signals.a.high", "to 1e+290"),
        ({"copies": 0}, "copies", "from 1"),
    ],
)
def test_faults_are_told_with_their_place(table: dict[str, Any], path: str, words: str) -> None:
    """Each fault names its key and what would be right."""
    ((where, message),) = found(table)
    assert where == path
    assert words in message


def test_a_constant_needs_no_high() -> None:
    """It stays where `low` says, also above the default of `high`."""
    assert found({"signals": {"a": {"shape": "constant", "low": 50, "high": 3}}}) == []
    assert found({"signals": {"a": {"shape": "constant", "low": 50}}}) == []


def test_no_options_are_needed() -> None:
    """The shortest configuration makes one sine."""
    assert found({}) == []
