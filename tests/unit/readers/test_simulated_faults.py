"""Faults of the simulated reader come to order, and the same ones each time."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sensord.config.schema import Faults, structure
from sensord.decode.base import Sample
from sensord.errors import DeviceError
from sensord.readers.simulated import Config, Reader
from sensord.readers.simulated_faults import Disturbance, Fault
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop

NOW_US = 1_700_000_000_000_000


def run(*faults: Fault, ticks: int = 200) -> list[list[Sample]]:
    """Return what comes at each tick, one a second, of a ramp and a constant."""
    disturbance = Disturbance(faults)
    return [
        disturbance.disturbed([Sample("ramp", float(i)), Sample("one", 1.0)], i, float(i), NOW_US)
        for i in range(ticks)
    ]


@pytest.mark.parametrize("kind", ["noise", "stuck", "dropout", "spikes", "garbage", "clock"])
def test_the_same_seed_gives_the_same_faults(kind: Any) -> None:
    """Another seed gives others; outside their time and of other signals nothing changes."""
    fault = Fault(kind, ("ramp",), after=50, every=100, lasts=25, chance=0.5, amount=3)
    found = run(fault)
    assert found == run(fault)
    plain = run()
    changed = [i for i in range(200) if found[i] != plain[i]]
    assert changed
    assert set(changed) <= {*range(50, 75), *range(150, 175)}
    assert all(sample in plain[i] for i in range(200) for sample in found[i] if sample[0] == "one")
    if kind not in {"dropout", "stuck", "clock"}:
        other = run(Fault(kind, ("ramp",), 50, 100, 25, 0.5, 3, seed=1))
        assert found != other


def test_each_fault_does_what_it_says() -> None:
    """By value, time or absence."""
    always = {"every": 1000.0, "lasts": 1000.0}
    assert [one[0].value for one in run(Fault("stuck", **always), ticks=3)] == [0.0, 0.0, 0.0]  # type: ignore[arg-type]  # times
    assert run(Fault("dropout", **always), ticks=1) == [[]]  # type: ignore[arg-type]  # the same
    (spikes,) = run(Fault("spikes", amount=50, **always), ticks=1)  # type: ignore[arg-type]  # the same
    assert {
        abs(float(str(one.value)) - first) for one, first in zip(spikes, (0, 1), strict=True)
    } == {50}
    (late,) = run(Fault("clock", amount=-60, **always), ticks=1)  # type: ignore[arg-type]  # the same
    assert late[0].time_us == NOW_US - 60_000_000
    (garbage,) = run(Fault("garbage", **always), ticks=1)  # type: ignore[arg-type]  # the same
    assert all(isinstance(one.value, str) and len(one.value) == 9 for one in garbage)
    stuck = run(Fault("stuck", every=10, lasts=2), ticks=13)
    assert [one[0].value for one in stuck[9:]] == [9.0, 10.0, 10.0, 12.0]
    both = run(Fault("garbage", **always), Fault("noise", **always), ticks=1)  # type: ignore[arg-type]  # the same
    assert all(isinstance(one.value, str) for one in both[0])
    after_dropout = run(Fault("dropout", **always), Fault("noise", **always), ticks=1)  # type: ignore[arg-type]  # the same
    assert after_dropout == [[]]


def test_slow_and_dead_are_of_the_device() -> None:
    """In their time only."""
    faults = Fault("slow", after=5, amount=0.5), Fault("dead", after=20, lasts=1)
    disturbance = Disturbance(faults)
    assert [disturbance.delay_s(at) for at in (4, 5, 16)] == [0, 0.5, 0]
    assert [disturbance.is_dead(at) for at in (19, 20, 21, 80)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("table", "at"),
    [
        ({"type": "noise"}, []),
        ({"type": "odd"}, ["fault.0.type"]),
        ({"type": "noise", "lasts": 90}, ["fault.0.lasts"]),
        ({"type": "dead", "signals": ["value"]}, ["fault.0.signals"]),
        ({"type": "slow", "amount": -1}, ["fault.0.amount"]),
        ({"type": "noise", "signals": ["other"]}, ["fault.0.signals"]),
    ],
)
def test_faults_of_the_configuration(table: dict[str, Any], at: list[str]) -> None:
    """Each at its key."""
    faults = Faults()
    structure(Config, {"fault": [table]}, (), faults)
    assert [".".join(map(str, path)) for path, _ in faults.found] == at


@on_each_loop
async def test_a_dead_device_is_down_and_comes_back() -> None:
    """Dead from the start on is a device error before anything is handed on."""
    link = RecordingLink()
    fault = Fault("dead", every=1000, lasts=1000)
    with pytest.raises(DeviceError, match="dead to order"):
        await Reader(Config(interval=0.01, fault=(fault,))).run(link)
    late = Fault("dead", after=0.03, every=1000, lasts=900)
    slow = Fault("slow", every=1000, lasts=0.005, amount=0.001)
    reader = Reader(Config(interval=0.01, fault=(slow, late)))
    for _ in itertools.repeat(None, 2):
        with pytest.raises(DeviceError, match="dead to order"):
            await reader.run(link)
