"""A device at work: its readings, its timers, its death, and how it fares."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sensord.bus import Bus
from sensord.config.tree import ChannelRules
from sensord.config.tree import Device as DeviceConfig
from sensord.decode import key_value
from sensord.decode.base import Sample
from sensord.decode.framing import framer_of
from sensord.decode.framing.lines import Config as Framing
from sensord.device.device import Device, State, Statistics
from sensord.device.intake import Route
from sensord.device.policy import Policy
from sensord.log import Log
from sensord.model.readings import Level, Quality, Reading, Reason, Record
from tests.unit.manual import START_US, ManualLoop, manual_loop

S = 1_000_000


class LoopClock:
    """Both clocks, in step with a loop."""

    def __init__(self, loop: ManualLoop) -> None:
        self._loop = loop

    def wall_us(self) -> int:
        return START_US + self.monotonic_us()

    def monotonic_us(self) -> int:
        return round(self._loop.now * S)


class Scene:
    """A device with the bus behind it and a loop that the test turns."""

    def __init__(self, **more: Any) -> None:
        self.loop = manual_loop()
        clock = LoopClock(self.loop)
        self.bus = Bus(Log("e1", 100_000), clock)
        config = DeviceConfig(
            **{
                "name": "boiler",
                "reader": "serial",
                "reader_config": None,
                "decoder": "key_value",
                "decoder_config": None,
                "framing": Framing(),
                "topic": "{device}/{field}",
                "description": "in the cellar",
                "publish": Policy(),
                "max_channels": 100,
                "channels": {},
                **more,
            }
        )
        decoder = key_value.Decoder(key_value.Config())
        framer = framer_of(config.framing)
        self.device = Device(config, framer, decoder, self.bus, clock, self.loop)

    def records(self, topic: str) -> list[Record]:
        pieces = self.bus.log.read(0, self.bus.log.tail)
        return [r for piece in pieces for r in piece if r.channel.topic == topic]

    def told(self) -> list[Any]:
        """Return every status that was published."""
        return [record.reading.value for record in self.records("$sys/devices/boiler")]


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- readings --------------------------------------------------------------------------------------


def test_what_a_reader_hands_on_is_published(scene: Scene) -> None:
    """As a stream, as messages and as samples, with the time of its arrival."""
    scene.loop.now = 3.0
    scene.device.data(b"t=1\n")
    scene.device.message(Route("in"), b"t2=2")
    scene.device.samples([Sample("t3", 3.0)])
    topics = ["boiler/t", "boiler/t2", "boiler/t3"]
    readings = [scene.records(topic)[0].reading for topic in topics]
    assert readings == [Reading(START_US + 3 * S, value) for value in (1.0, 2.0, 3.0)]
    assert scene.device.statistics().last_reading_us == START_US + 3 * S


def test_an_opened_device_begins_with_a_new_line(scene: Scene) -> None:
    """Half a line from before is forgotten."""
    scene.device.data(b"t=1")
    scene.device.opened("/dev/ttyUSB0")
    scene.device.data(b"t=2\n")
    assert [r.reading.value for r in scene.records("boiler/t")] == [2.0]


def test_noise_is_no_reading(scene: Scene) -> None:
    """A device that sends nothing else does not look alive."""
    scene.device.data(b"t=1\n")
    scene.loop.run_until(100.0)
    scene.device.data(b"\xff\xff\n")
    assert scene.device.statistics().last_reading_us == START_US


# -- timers ----------------------------------------------------------------------------------------


def test_what_waits_is_published_in_time() -> None:
    """By a timer, without another sample."""
    scene = Scene(publish=Policy(min_period=10))
    scene.device.samples([Sample("t", 1.0)])
    scene.loop.run_until(1.0)
    scene.device.samples([Sample("t", 2.0)])
    scene.loop.run_until(9.999)
    assert len(scene.records("boiler/t")) == 1
    scene.loop.run_until(10.0)
    assert [r.reading.value for r in scene.records("boiler/t")] == [1.0, 2.0]


def test_an_earlier_time_replaces_a_later_one() -> None:
    """The timer is always the first of all that is due."""
    rules = {
        "slow": ChannelRules(publish=Policy(stale_after=60)),
        "fast": ChannelRules(publish=Policy(stale_after=5)),
    }
    scene = Scene(channels=rules)
    scene.device.samples([Sample("slow", 1.0)])
    scene.device.samples([Sample("fast", 1.0)])
    scene.device.samples([Sample("slow", 1.0)])
    scene.loop.run_until(5.0)
    assert scene.records("boiler/fast")[-1].reading.quality.reason == Reason.STALE
    assert len(scene.records("boiler/slow")) == 1
    scene.loop.run_until(60.0)
    assert scene.records("boiler/slow")[-1].reading.quality.reason == Reason.STALE


def test_a_timer_with_nothing_left_is_not_set_again() -> None:
    """A silent device costs nothing."""
    scene = Scene(publish=Policy(stale_after=5))
    scene.device.samples([Sample("t", 1.0)])
    scene.loop.drain()
    assert len(scene.records("boiler/t")) == 2
    assert scene.loop.next_timer is None


def test_a_closed_device_has_no_timers() -> None:
    """Neither those of policies nor that of its status."""
    scene = Scene(publish=Policy(stale_after=5))
    scene.device.samples([Sample("t", 1.0)])
    scene.device.close()
    scene.device.close()
    assert scene.loop.next_timer is None


# -- death and birth -------------------------------------------------------------------------------


def test_a_device_that_goes_away_publishes_its_death(scene: Scene) -> None:
    """Its channels say so at once, and its status why."""
    scene.device.connecting()
    scene.device.up("/dev/ttyUSB0 at 9600")
    scene.device.samples([Sample("t", 1.0)])
    scene.loop.run_until(2.0)
    scene.device.down("unplugged", "/dev/ttyUSB0", 1.0)
    gone = Quality(Level.BAD, Reason.DISCONNECTED)
    assert scene.records("boiler/t")[-1].reading == Reading(START_US, 1.0, gone, restates=True)
    assert (scene.told()[-1]["state"], scene.told()[-1]["detail"]) == (
        "absent",
        "unplugged: /dev/ttyUSB0",
    )


def test_its_states_are_told_as_they_come(scene: Scene) -> None:
    """A device that is down stays down while it is tried again."""
    device = scene.device
    device.connecting()
    device.down("no such port", "", 1.0)
    device.connecting()
    device.down("no such port", "", 2.0)
    device.connecting()
    device.up("at last")
    assert [(told["state"], told["detail"]) for told in scene.told()] == [
        ("connecting", ""),
        ("absent", "no such port"),
        ("up", "at last"),
    ]


def test_another_cause_is_told(scene: Scene) -> None:
    """Though the state is the same."""
    scene.device.down("no such port", "", 1.0)
    scene.device.down("permission denied", "", 1.0)
    assert [told["detail"] for told in scene.told()] == ["no such port", "permission denied"]


def test_statistics_tell_how_it_fares(scene: Scene) -> None:
    """The same that stands under $sys/devices."""
    scene.loop.now = 1.0
    scene.device.up("here")
    scene.device.data(b"t=1\nt=1\n?\n")
    scene.device.fault("no answer", "after 3 tries")
    expected = Statistics(
        state=State.UP,
        detail="here",
        since_us=START_US + S,
        last_reading_us=START_US + S,
        connects=1,
        messages=3,
        samples=2,
        readings=1,
        faults={"bad pair": 1, "no answer": 1},
        passed_over={},
        offline=[],
    )
    assert scene.device.statistics() == expected
    scene.loop.run_until(100.0)
    told = scene.told()[-1]
    assert {**told, "state": State(told["state"])} == {
        name: getattr(expected, name) for name in Statistics.__dataclass_fields__
    }


def test_a_retained_message_is_no_sign_of_life(scene: Scene) -> None:
    """A device whose broker alone speaks has told nothing."""
    scene.device.message(Route("in", is_retained=True), b"t=1")
    assert scene.device.statistics().last_reading_us is None
    scene.device.message(Route("in"), b"t=1")
    assert scene.device.statistics().last_reading_us == START_US


def test_who_is_offline_stands_in_the_status(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Soon after it was reported, and once in the log; a lost connection forgets it."""
    with caplog.at_level(logging.INFO, "sensord.device"):
        for name in ("z/lamp/up", "z/door/up", "z/door/up"):
            scene.device.availability(name, is_there=False)
        scene.loop.run_until(1.0)
        assert scene.told()[-1]["offline"] == ["z/door/up", "z/lamp/up"]
        scene.device.availability("z/door/up", is_there=True)
        scene.device.availability("z/hall/up", is_there=True)
    scene.loop.run_until(20.0)
    assert scene.told()[-1]["offline"] == ["z/lamp/up"]
    logged = [(one.getMessage(), one.__dict__["topic"]) for one in caplog.records]
    assert logged == [("reported offline", "z/lamp/up"), ("reported online", "z/door/up")]
    scene.device.opened("again")
    assert scene.device.statistics().offline == []


# -- status ----------------------------------------------------------------------------------------


def test_the_status_is_a_channel_of_its_device(scene: Scene) -> None:
    """It is there before anything was heard."""
    channel = scene.bus.find("$sys/devices/boiler")
    assert channel is not None
    assert (channel.metadata.device, channel.metadata.description) == ("boiler", "in the cellar")


def test_counts_are_told_once_a_minute(scene: Scene) -> None:
    """However much a device sends; one that sends nothing is told nothing of."""
    for second in range(1, 121):
        scene.device.samples([Sample("t", float(second))])
        scene.loop.run_until(float(second))
    assert [told["samples"] for told in scene.told()] == [60, 120]
    scene.loop.drain()
    assert len(scene.told()) == 2


def test_of_a_device_that_has_just_come_up_they_are_told_sooner(scene: Scene) -> None:
    """Somebody may be wiring it; a device that comes and goes is told of each time."""
    scene.device.up("/dev/ttyUSB0 at 9600")
    for second in range(1, 140):
        scene.device.samples([Sample("t", float(second))])
        scene.loop.run_until(float(second))
    times = [(r.log_us - START_US) / S for r in scene.records("$sys/devices/boiler")]
    assert times == [0, 1, 11, 71, 131]


def test_a_fault_is_told_soon_and_then_every_ten_seconds(scene: Scene) -> None:
    """Somebody may be looking for it."""
    for second in range(25):
        scene.device.fault("no answer", "")
        scene.loop.run_until(second + 1.0)
    times = [(r.log_us - START_US) / S for r in scene.records("$sys/devices/boiler")]
    assert times == [0.5, 10.5, 20.5]
    assert [told["faults"] for told in scene.told()] == [
        {"no answer": 1},
        {"no answer": 11},
        {"no answer": 21},
    ]


def test_faults_without_a_pause_are_told_all_the_same(scene: Scene) -> None:
    """The next one does not put off what the first one began."""
    for tenth in range(20):
        scene.device.fault("no answer", "")
        scene.loop.run_until((tenth + 1) / 10)
    assert [told["faults"] for told in scene.told()] == [{"no answer": 5}]


def test_a_fault_does_not_wait_for_the_minute(scene: Scene) -> None:
    """The earlier of two times counts."""
    scene.device.samples([Sample("t", 1.0)])
    scene.device.fault("no answer", "")
    scene.device.samples([Sample("t", 2.0)])
    scene.loop.run_until(0.5)
    assert len(scene.told()) == 1


def test_a_repeated_fault_is_logged_first_and_then_with_its_count(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """Each kind for itself, with the bytes in question."""
    with caplog.at_level(logging.WARNING, "sensord.device"):
        for second in range(301):
            scene.device.data(b"\xff?\n")
            scene.device.fault("no answer", f"try {second}")
            scene.loop.run_until(second + 1.0)
    told = [(one.getMessage(), one.__dict__["reason"]) for one in caplog.records]
    assert told == [("bad data", told[0][1]), ("device fault", "no answer")] * 2
    first, _, again, last = (one.__dict__ for one in caplog.records)
    assert first["bytes"] == "\\xff?"
    assert first["device"] == "boiler"
    assert "unlogged" not in first
    assert (again["unlogged"], last["unlogged"]) == ("299", "299")
    assert last["detail"] == "try 300"
