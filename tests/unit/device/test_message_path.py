"""Each filter of a connection reads its messages its own way: times, dates and names as well."""

from __future__ import annotations

from sensord.model.readings import Reading
from tests.unit.device.test_identity import Scene
from tests.unit.manual import START_US

HOURS_BEHIND = b"at=2023-11-14T15:13:20;t=21.5"  # of a clock at UTC-7 when it is 22:13:20 UTC
ROLLED_OVER = b"$GPRMC,221320,A,4807.038,N,01131.000,E,0.0,0.0,300304,,"  # 1024 weeks behind

CONFIG = """
[devices.x]
reader = "mqtt"
host = "127.0.0.1"
decoder = "number"

[[devices.x.topics]]
filter = "logger/+"
decoder = { type = "key_value", time = "at", time_unit = "iso8601" }

[[devices.x.topics]]
filter = "gps/+"
decoder = "nmea0183"

[[devices.x.topics]]
filter = "plain/+"
field = "{1}"
"""


def last(scene: Scene, topic: str) -> Reading:
    channel = scene.bus.find(topic)
    assert channel is not None, [*scene.values]
    record = scene.bus.last(channel)
    assert record is not None
    return record.reading


def test_a_filter_s_time_without_a_zone_is_no_hours_off() -> None:
    """The decoder of the connection knows of no zone; that of the filter does."""
    scene = Scene(CONFIG)
    scene.heard(("logger/1", HOURS_BEHIND))
    assert last(scene, "x/t").time_us == START_US
    assert [fault.reason for fault in scene.faults] == ["bad time"]


def test_a_filter_s_receiver_has_its_week_rollover_mended() -> None:
    """A wrong date would pass for good otherwise."""
    scene = Scene(CONFIG)
    scene.heard(("gps/1", ROLLED_OVER))
    reading = last(scene, "x/time")
    assert (reading.value, reading.quality.reason) == ("2023-11-14T22:13:20.000Z", "week_rollover")


def test_a_filter_without_a_decoder_of_its_own_has_the_connection_s() -> None:
    """Its field is named by the topic."""
    scene = Scene(CONFIG)
    assert scene.heard(("plain/level", b"4.5")) == {"x/level": 4.5}
