"""A capture decoded again gives what the live device published."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensord.bus import Bus
from sensord.decode import registry as decoders
from sensord.decode.base import Sample
from sensord.decode.framing import framer_of
from sensord.device.device import Device
from sensord.device.intake import Route
from sensord.log import Log
from sensord.log.journal import Hole
from sensord.model.readings import Quality, ValueType
from sensord.recordings import EVERYTHING, RecordingError, Selection
from sensord.recordings.capture import Arrival, Capture, CaptureOutput, Event, Piece, Values
from sensord.recordings.capture.link import Capturing
from tests.kit.capture import device_of, readings_of, table_of, write_capture
from tests.kit.journal import Row, rows
from tests.unit.manual import START_US, ManualLoop, manual_loop

TABLE = table_of("""
reader = "serial"
port = "/dev/ttyUSB0"
decoder = { type = "csv", fields = ["a", "b"] }
topic = "x/{field}"
publish = { min_period = "300ms", stale_after = "2s" }
[channels.a]
unit = "V"
decimals = 1
publish = { policy = "periodic", period = "500ms" }
""")


class LoopClock:
    """Both clocks, in step with a loop."""

    def __init__(self, loop: ManualLoop) -> None:
        self._loop = loop

    def wall_us(self) -> int:
        return START_US + self.monotonic_us()

    def monotonic_us(self) -> int:
        return round(self._loop.now * 1e6)


class Both:
    """A live device and a capture that are handed the same."""

    def __init__(self, path: Path, table: dict[str, Any]) -> None:
        self.loop = manual_loop()
        clock = LoopClock(self.loop)
        self._bus = Bus(Log("e", 1 << 20), clock)
        config = device_of(table)
        found = decoders.find(config.decoder)
        assert found is not None
        decoder = found.create(config.decoder_config)
        framer = framer_of(config.framing)
        device = Device(config, framer, decoder, self._bus, clock, self.loop)
        self.output = CaptureOutput(path, "dev", table)
        self._capturing = Capturing(self.output, clock, lambda: None)
        self.both: list[Any] = [device, self._capturing]

    def wait(self, ms: int) -> None:
        self.loop.run_until(round(self.loop.now + ms / 1000, 3))

    def each(self, name: str, *args: object) -> None:
        """Call the same on both."""
        for one in self.both:
            getattr(one, name)(*args)

    def end(self) -> None:
        self._capturing.end()
        self.output.complete()

    def live(self) -> list[Row]:
        log = self._bus.log
        records = [record for piece in log.read(0, log.tail) for record in piece]
        return rows(record for record in records if not record.channel.topic.startswith("$"))


def without_offsets(found: list[Row]) -> list[tuple[object, ...]]:
    return [row[1:] for row in found]


numbers = st.sampled_from([b"1.0", b"2.5", b"1.0", b"oops", b"", b"7"])
lines = st.builds(lambda a, b: a + b"," + b + b"\r\n", numbers, numbers)
noise = st.sampled_from([b"\xff\xfe", b"\n", b"1", b",", b"2\n3"])
acts = st.one_of(
    st.tuples(st.just("data"), lines | noise),
    st.tuples(st.just("wait"), st.integers(1, 900)),
    st.tuples(st.just("down"), st.just(b"")),
    st.tuples(st.just("up"), st.just(b"")),
)


@settings(max_examples=50)
@given(st.lists(acts, max_size=40))
def test_it_gives_what_the_live_device_published(done: list[tuple[str, Any]]) -> None:
    """To the microsecond, timers and deaths too, whatever came and however it was cut."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.mcap"
        both = Both(path, TABLE)
        with both.output:
            for act, what in done:
                match act:
                    case "data":
                        both.each("data", what)
                    case "wait":
                        both.wait(what)
                    case "down":
                        both.each("down", "unplugged", "gone", 0.5)
                    case "up":
                        both.each("opened", "port")
                        both.each("up", "port")
            both.wait(3000)
            both.end()
        found = readings_of(Capture(path))
    assert without_offsets(found) == without_offsets(both.live())


def test_messages_and_samples_are_decoded_as_well(tmp_path: Path) -> None:
    """By their routes, as a broker's messages are."""
    table = table_of("""
        reader = "mqtt"
        host = "localhost"
        topics = [{ filter = "in/+/#", topic = "out/{1}/{field}" }]
        decoder = "json"
        publish = { policy = "every" }
    """)
    both = Both(tmp_path / "x.mcap", table)
    with both.output:
        for i in range(10):
            route = Route(f"in/{i % 3}/z", "out/{1}/{field}", (str(i % 3), "z"))
            both.each("message", route, json.dumps({"v": i}).encode())
            both.wait(100)
        both.end()
    found = readings_of(Capture(tmp_path / "x.mcap"))
    assert without_offsets(found) == without_offsets(both.live())
    assert {row.topic for row in found} == {"out/0/v", "out/1/v", "out/2/v"}


STREAM = b"".join(b"%d,%d\r\n" % (i, i % 7) for i in range(40)) + b"garbage\xff\n1,2\n"


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cut_of_the_stream_gives_the_same_readings(cuts: list[int]) -> None:
    """As long as the bytes come at the same time."""
    table = TABLE | {"publish": {"policy": "every"}, "channels": {}}
    with TemporaryDirectory() as folder:
        whole = write_capture(Path(folder) / "a", table, [Arrival(1000, 1000, Piece(STREAM))])
        edges = [0, *sorted(cuts), len(STREAM)]
        parts = [Arrival(1000, 1000, Piece(STREAM[a:b])) for a, b in pairwise(edges)]
        cut = write_capture(Path(folder) / "b", table, parts)
        one, other = Capture(whole), Capture(cut)
        assert readings_of(one) == readings_of(other) == readings_of(one)
        assert len(readings_of(one)) == 82
        assert one.notes() == other.notes() == ["1 times " + one.notes()[0].partition("times ")[2]]


def test_it_says_what_it_is(tmp_path: Path) -> None:
    """With the counts of its topics and of what could not be understood."""
    arrivals = [Arrival(i * 1000, i * 1000, Piece(b"%d,1\noops\n" % i)) for i in range(1, 11)]
    capture = Capture(write_capture(tmp_path / "x.mcap", TABLE, arrivals))
    contents = capture.contents()
    assert contents.what == "raw capture of dev (serial, csv)"
    assert {topic.topic for topic in contents.topics} == {"x/a", "x/b"}
    assert contents.notes[0] == "91 bytes of the device in 10 arrivals"
    assert contents.notes[1].startswith("10 times ")
    found = readings_of(capture)
    assert (capture.span().first, capture.span().end) == (0, len(found))
    assert (capture.span().start_us, capture.span().end_us) == (1000, found[-1].log_us)


def test_another_configuration_decodes_it_anew(tmp_path: Path) -> None:
    """That is how a decoder is tried out on what a device really said."""
    arrivals = [Arrival(i * 10**6, i * 10**6, Piece(b"%d,1\n" % i)) for i in range(1, 6)]
    path = write_capture(tmp_path / "x.mcap", TABLE, arrivals)
    other = device_of({**TABLE, "decoder": {"type": "csv", "fields": ["left", "right"]}})
    assert {row.topic for row in readings_of(Capture(path, other))} == {"x/left", "x/right"}


def test_a_part_of_it_can_be_asked_for(tmp_path: Path) -> None:
    """By offset, time, topic and number; offsets stay those of the whole."""
    table = TABLE | {"publish": {"policy": "every"}, "channels": {}}
    arrivals = [Arrival(i * 1000, i * 1000, Piece(b"%d,1\n" % i)) for i in range(1, 3001)]
    capture = Capture(write_capture(tmp_path / "x.mcap", table, arrivals))
    every = readings_of(capture)
    assert [row.offset for row in every] == list(range(6000))
    selection = Selection(["x/a"], 100, 5000, since_us=200_000, until_us=2_000_000, limit=700)
    expected = [
        row
        for row in every
        if row.topic == "x/a" and 100 <= row.offset < 5000 and 200_000 <= row.log_us < 2_000_000
    ]
    assert readings_of(capture, selection) == expected[:700]


def test_a_damaged_chunk_is_a_hole_and_the_rest_is_decoded(tmp_path: Path) -> None:
    """Half a line before it is not joined to what follows."""
    table = TABLE | {"publish": {"policy": "every"}, "channels": {}}
    path = tmp_path / "x.mcap"
    with CaptureOutput(path, "dev", table) as output:
        for part in (b"1,1\n2,", b"3,3\n", b"9,9\n4,4\n"):
            output.add(Arrival(1000, 1000, Piece(part)))
            output.flush()
        output.complete()
    data = bytearray(path.read_bytes())
    magic = b"\x28\xb5\x2f\xfd"
    second = data.find(magic, data.find(magic) + 4)
    data[second + 12] ^= 0xFF
    path.write_bytes(data)
    items = list(Capture(path).scan(EVERYTHING))
    (hole,) = [item for item in items if isinstance(item, Hole)]
    assert "a damaged chunk" in hole.reason
    found = readings_of(Capture(path))
    assert [row.value for row in found if row.topic == "x/a"] == ["1.0", "9.0", "4.0"]


def test_one_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """At any byte."""
    table = TABLE | {"publish": {"policy": "every"}, "channels": {}}
    path = tmp_path / "x.mcap"
    with CaptureOutput(path, "dev", table) as output:
        for i in range(30):
            output.add(Arrival(i, i, Piece(b"%d,%d\n" % (i, i))))
            if i % 5 == 4:
                output.flush()
        output.complete()
    data, every = path.read_bytes(), readings_of(Capture(path))
    begin = data.index(b"\x28\xb5\x2f\xfd") - 100
    for size in range(begin, len(data), 7):
        path.write_bytes(data[:size])
        found = readings_of(Capture(path))
        assert found == every[: len(found)]
        assert len(found) % 10 == 0
    path.write_bytes(data[:-40])
    assert "it has no footer" in Capture(path).notes()[0]


def test_a_configuration_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """It may be of a newer version, or of a package that is not installed."""
    path = write_capture(tmp_path / "x.mcap", TABLE | {"decoder": "morse"}, [])
    with pytest.raises(RecordingError, match=r"x\.mcap: its configuration cannot be used: decoder"):
        Capture(path)


def test_faults_of_the_reader_are_counted(tmp_path: Path) -> None:
    """And the end of the connection spoils every value."""
    arrivals = [
        Arrival(1000, 1000, Piece(b"1,2\n")),
        Arrival(2000, 2000, Event("fault", "no answer", "waited 1 s")),
        Arrival(3000, 3000, Event("down", "unplugged", "gone")),
    ]
    capture = Capture(write_capture(tmp_path / "x.mcap", TABLE, arrivals))
    assert capture.notes() == ["1 times no answer"]
    last = {row.topic: row.quality for row in readings_of(capture)}
    assert set(last.values()) == {Quality(2, "disconnected")}  # type: ignore[arg-type]  # a level


def test_units_behind_a_connection_are_decoded_with_their_metadata(tmp_path: Path) -> None:
    """The configuration names what a register is; the capture has its values alone."""
    table = table_of("""
    reader = "modbus"
    port = "/dev/ttyUSB0"
    units.attic = { unit = 1, registers.power = { address = 0, unit = "W" } }
    """)
    route = Route("attic", depends_on=("attic",), device="attic")
    arrivals = [Arrival(START_US, START_US, Values((Sample("power", 230),), route))]
    capture = Capture(write_capture(tmp_path / "c.mcap", table, arrivals, "bus"))
    (found,) = readings_of(capture)
    assert (found.topic, found.value) == ("attic/power", "230")
    assert (found.metadata.device, found.metadata.unit) == ("attic", "W")
    assert found.metadata.type is ValueType.INT
