"""A device's bytes become readings on the bus."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.bus import Bus
from sensord.config.tree import ChannelRules, Device
from sensord.decode import csv_line, json_paths, key_value, nmea0183
from sensord.decode.base import Decoded, Decoder, Fault, Sample
from sensord.decode.framing import framer_of
from sensord.decode.framing.lines import Config as Framing
from sensord.decode.framing.lines import LineFramer
from sensord.decode.source_time import TimeUnit
from sensord.device.intake import DEVICE, Intake, Route
from sensord.device.policy import Policy
from sensord.log import Log
from sensord.model.readings import (
    GOOD,
    Kind,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Record,
    Value,
    ValueType,
)
from sensord.model.times import iso
from tests.unit.decode.streams import cut_points, pieces
from tests.unit.manual import START_US, ManualClock

S = 1_000_000

GONE = Quality(Level.BAD, Reason.DISCONNECTED)


def device(**more: Any) -> Device:
    plain = Device(
        name="boiler",
        reader="serial",
        reader_config=None,
        decoder="key_value",
        decoder_config=None,
        framing=Framing(),
        topic="{device}/{field}",
        description="",
        publish=Policy(),
        max_channels=1000,
        channels={},
    )
    return replace(plain, **more)


@dataclass
class Scene:
    """An intake with the bus behind it."""

    config: Device = field(default_factory=device)
    decoder: Decoder | None = field(default_factory=lambda: key_value.Decoder(key_value.Config()))

    def __post_init__(self) -> None:
        self.clock = ManualClock()
        self.bus = Bus(Log("e1", 100_000), self.clock)
        self.faults: list[Fault] = []
        framer = framer_of(self.config.framing)
        self.intake = Intake(self.config, framer, self.decoder, self.bus, self.faults.append)

    def line(self, text: str, *, at_s: float = 0) -> None:
        now_us = int(at_s * S)
        self.clock.now_wall_us = START_US + now_us
        self.intake.data(text.encode() + b"\n", now_us, START_US + now_us)

    @property
    def fields(self) -> dict[tuple[object, str], Any]:
        """All that the intake remembers, by source and field."""
        taps = self.intake._taps.by_source
        assert all(taps.values()), "a source without fields is not remembered"
        return {(source, name): tap for source in taps for name, tap in taps[source].items()}

    def samples(self, *told: Sample, route: Route = DEVICE, at_s: float = 0) -> None:
        now_us = int(at_s * S)
        self.intake.samples(route, told, now_us, START_US + now_us)

    def due(self) -> int | None:
        """Ask anew when something is due."""
        return self.intake.due_us

    @property
    def records(self) -> list[Record]:
        return [r for piece in self.bus.log.read(0, self.bus.log.tail) for r in piece]

    @property
    def told(self) -> list[tuple[str, Value]]:
        return [(r.channel.topic, r.reading.value) for r in self.records]


def one_line(text: str, **channels: ChannelRules) -> Scene:
    scene = Scene(device(channels=channels))
    scene.line(text)
    return scene


# -- what a channel declares -----------------------------------------------------------------------


def test_a_word_first_does_not_defeat_what_is_declared() -> None:
    """A battery monitor without its sensor says ---, and 215 when it is plugged in."""
    scene = one_line("T=---", T=ChannelRules(unit="Cel", scale=0.1, range=(-40, 80)))
    scene.line("T=215")
    assert scene.told == [("boiler/T", None), ("boiler/T", 21.5)]
    assert scene.records[0].channel.metadata.type is ValueType.FLOAT
    assert scene.records[0].reading.quality == Quality(Level.BAD, Reason.WRONG_TYPE)
    assert scene.faults == [Fault("not a number", b"T=---")]


@pytest.mark.parametrize(
    "rules",
    [
        ChannelRules(unit="Cel"),
        ChannelRules(scale=0.1),
        ChannelRules(offset=1),
        ChannelRules(range=(0, 9)),
        ChannelRules(decimals=1),
        ChannelRules(type=ValueType.INT),
    ],
)
def test_what_makes_a_number_makes_it_from_the_first_value(rules: ChannelRules) -> None:
    """Each of them alone."""
    scene = one_line("T=high", T=rules)
    assert scene.records[0].channel.metadata.type in {ValueType.FLOAT, ValueType.INT}
    assert scene.told == [("boiler/T", None)]


@pytest.mark.parametrize("text", ["0042", "1E5", "21.50", "nan", "000123"])
def test_a_declared_text_keeps_its_form(text: str) -> None:
    """Zeros, exponents and all."""
    scene = one_line(f"id={text};n=0042", id=ChannelRules(type=ValueType.STRING))
    assert scene.told == [("boiler/id", text), ("boiler/n", "0042")]


def test_a_padded_number_is_one_where_numbers_are_due() -> None:
    """By declaration, or because the channel began with one."""
    scene = one_line("n=0042;m=7", n=ChannelRules(unit="W"))
    scene.line("n=0007;m=0042")
    assert [value for _, value in scene.told] == [42.0, 7.0, 7.0, 42.0]


def test_a_text_that_nobody_declared_keeps_its_form_too() -> None:
    """Once its channel is one of texts."""
    scene = one_line("T=00cf")
    for text in ("00e5", "0110", "80d2"):
        scene.line(f"T={text}")
    assert [value for _, value in scene.told] == ["00cf", "00e5", "0110", "80d2"]


def test_hexadecimal_can_be_declared() -> None:
    """RFLink says tenths of a degree, with the sign in the highest bit."""
    rules = ChannelRules(unit="Cel", scale=0.1, base=16, sign="high_bit")
    scene = one_line("TEMP=00cf", TEMP=rules)
    for text in ("00e5", "0110", "80d2"):
        scene.line(f"TEMP={text}")
    assert [value for _, value in scene.told] == [20.7, 22.9, 27.2, -21.0]


def test_a_missing_value_does_not_leave_the_old_one_good() -> None:
    """It is no fault, for the device said what was expected."""
    scene = one_line("t=21.5", t=ChannelRules(unit="Cel", missing=(85, "unavailable")))
    for text in ("85.0", "21.6", "Unavailable"):
        scene.line(f"t={text}")
    assert [value for _, value in scene.told] == [21.5, None, 21.6, None]
    assert scene.records[1].reading.quality == Quality(Level.BAD, Reason.MISSING)
    assert scene.faults == []


@pytest.mark.parametrize(
    ("decoder", "messages", "word"),
    [
        (json_paths.Decoder(json_paths.Config()), ('{"t": 21.5}', '{"t": null}'), "null"),
        (key_value.Decoder(key_value.Config()), ("t=21.5", "t="), ""),
    ],
)
def test_a_value_that_is_left_empty_can_be_declared_as_missing(
    decoder: Decoder, messages: tuple[str, str], word: str
) -> None:
    """Otherwise it is no value, and gives no reading."""
    for missing, found in (((), [21.5]), ((word,), [21.5, None])):
        scene = Scene(device(channels={"t": ChannelRules(unit="Cel", missing=missing)}), decoder)
        for message in messages:
            scene.line(message)
        assert [value for _, value in scene.told] == found
        assert scene.faults == []


def test_a_number_of_json_keeps_its_form_in_a_channel_of_texts() -> None:
    """Also 1.10, which no float is."""
    channels = {"version": ChannelRules(type=ValueType.STRING)}
    scene = Scene(device(channels=channels), json_paths.Decoder(json_paths.Config()))
    scene.line('{"version": 1.10, "t": 21.50}')
    assert scene.told == [("boiler/version", "1.10"), ("boiler/t", 21.5)]


def test_an_integer_that_no_float_is_makes_an_undeclared_channel_exact() -> None:
    """The id of a device is not rounded."""
    scene = Scene(decoder=json_paths.Decoder(json_paths.Config()))
    scene.line('{"id": 2882429806056571124, "n": 1}')
    scene.line('{"id": 2882429806056571125, "n": 9007199254740993}')
    assert scene.told[0] == ("boiler/id", 2882429806056571124)
    assert scene.told[2] == ("boiler/id", 2882429806056571125)
    assert scene.records[3].reading.quality == Quality(Level.UNCERTAIN, Reason.INEXACT)


def test_what_does_not_fit_is_quoted_as_it_came() -> None:
    """In the encoding of the device."""
    decoder = key_value.Decoder(key_value.Config(encoding="latin-1"))
    scene = Scene(device(channels={"t": ChannelRules(unit="Cel")}), decoder)
    scene.intake.data(b"t=2\xb4\n", 0, START_US)
    assert scene.faults == [Fault("not a number", b"t=2\xb4")]


def test_what_answers_a_command_need_not_be_a_value() -> None:
    """An OK where a number is due is neither a fault nor a reading."""

    class Anything:
        def on_message(self, message: bytes) -> bool:
            return message == b"t=OK"

        def recalled(self, *_: object) -> None:
            raise AssertionError("nothing was kept")

        def on_value(self, topic: str, value: Value, quality: Quality) -> None:
            pass

    scene = one_line("t=1", t=ChannelRules(type=ValueType.FLOAT))
    scene.intake.listener = Anything()
    scene.line("t=OK")
    assert (scene.told, scene.faults) == ([("boiler/t", 1.0)], [])


def boat(*sentences: str, **channels: ChannelRules) -> Scene:
    """An NMEA 0183 line, each sentence without its checksum."""
    decoder = nmea0183.Decoder(nmea0183.Config())
    scene = Scene(device(channels=channels), decoder)
    for sentence in sentences:
        scene.line(sentence)
    return scene


def test_a_transducer_that_changes_its_unit_keeps_that_of_its_channel() -> None:
    """Degrees Celsius, then kelvin; bars, then pascals; then what measures something else."""
    scene = boat(
        "$IIXDR,C,19.5,C,AIR,P,1.01325,B,BARO",
        "$IIXDR,C,292.7,K,AIR,P,101300,P,BARO",
        "$IIXDR,P,1.0,B,AIR",
    )
    assert [value for topic, value in scene.told if topic.endswith("AIR")] == [19.5, 19.55, None]
    assert [value for topic, value in scene.told if topic.endswith("BARO")] == [1.01325, 1.013]
    assert scene.records[-1].reading.quality == Quality(Level.BAD, Reason.WRONG_UNIT)
    assert scene.faults == [Fault("wrong unit", b"xdr/AIR=1.0 bar")]


def test_a_declared_unit_is_what_is_announced_and_converted_to() -> None:
    """Of fields whose unit the format defines, too; a scale converts by itself."""
    scene = boat(
        "$SDDBT,,f,10.0,M,,F",
        "$GPVTG,,T,,M,10.0,N,,K",
        "$INMTW,20,C",
        "$IIMWV,,R,10,M,A",
        depth_below_transducer=ChannelRules(unit="[ft_i]", decimals=2),
        speed_over_ground=ChannelRules(unit="km/h"),
        water_temperature=ChannelRules(unit="hPa"),
        wind_speed_apparent=ChannelRules(unit="km/h", scale=3.6),
    )
    assert [value for _, value in scene.told] == [32.81, 18.52, None, 36.0]
    assert scene.faults[-1].reason == "wrong unit"


def test_what_is_passed_over_is_named_once() -> None:
    """And counted from then on."""
    named: list[str] = []
    decoder = nmea0183.Decoder(nmea0183.Config())
    config = device()
    bus = Bus(Log("e1", 100), ManualClock())
    framer = framer_of(config.framing)
    intake = Intake(config, framer, decoder, bus, lambda _: None, named.append)
    for _ in range(3):
        intake.data(b"$GPBOD,,T,,M,,\n$PGRMZ,1\n", 0, START_US)
    assert named == ["GPBOD", "PGRMZ"]
    assert intake.passed_over == {"GPBOD": 3, "PGRMZ": 3}


def test_an_empty_message_is_no_fault() -> None:
    """With MQTT it clears what was retained."""
    scene = Scene(decoder=json_paths.Decoder(json_paths.Config()))
    scene.intake.message(Route("a/x"), b"", 0, START_US)
    assert scene.faults == []
    assert scene.intake.totals.messages == 1


# -- from bytes to readings ------------------------------------------------------------------------


def test_a_line_becomes_readings_with_the_time_of_its_arrival() -> None:
    """One for each field, under the device's topic."""
    scene = Scene()
    scene.line("temp=21.5;hum=40", at_s=7)
    at_us = START_US + 7 * S
    assert scene.told == [("boiler/temp", 21.5), ("boiler/hum", 40.0)]
    assert [record.reading.time_us for record in scene.records] == [at_us, at_us]
    assert [record.log_us for record in scene.records] == [at_us, at_us]


def test_the_time_that_a_device_tells_counts() -> None:
    """That of arrival stands in the log."""
    scene = Scene()
    scene.samples(Sample("t", 1.0, GOOD, 123), at_s=7)
    (record,) = scene.records
    assert (record.reading.time_us, record.log_us) == (123, START_US + 7 * S)


def test_what_went_through_is_counted() -> None:
    """Messages, samples, readings, and faults by their reason."""
    scene = Scene()
    scene.line("temp=1")
    scene.line("temp=1")
    scene.line("temp=2;hum=1")
    scene.line("nonsense")
    totals = scene.intake.totals
    assert (totals.messages, totals.samples, totals.readings) == (4, 4, 3)
    assert totals.faults == {"bad pair": 1}
    assert [fault.excerpt for fault in scene.faults] == [b"nonsense"]


def test_what_the_framer_throws_away_is_a_fault_too() -> None:
    """A line without an end is told once."""
    scene = Scene(device(framing=Framing(max_bytes=8)))
    scene.line("x" * 50)
    assert scene.intake.totals.faults == {"line too long": 1}


def test_a_reset_forgets_half_a_line() -> None:
    """What comes after an interruption is not glued to what came before."""
    scene = Scene()
    scene.intake.data(b"temp=2", 0, 0)
    scene.intake.reset()
    scene.line("temp=1")
    assert scene.told == [("boiler/temp", 1.0)]


def test_without_a_decoder_messages_are_only_counted() -> None:
    """The samples come ready-made."""
    scene = Scene(decoder=None)
    scene.line("temp=1")
    scene.samples(Sample("t", True))
    assert scene.intake.totals.messages == 1
    assert scene.told == [("boiler/t", True)]


tokens = st.sampled_from(
    [b"a=1", b"a=2", b"b=x", b"=", b";", b"\n", b"\r\n", b"\xff", b"c=1e999", b"{", b"\x00", b"d="]
)


@given(st.lists(tokens, max_size=60).map(b"".join), cut_points)
def test_any_cut_of_a_stream_gives_the_same_readings(stream: bytes, points: list[int]) -> None:
    """And the same faults."""
    whole, cut = Scene(), Scene()
    whole.intake.data(stream, 0, START_US)
    for piece in pieces(stream, points):
        cut.intake.data(piece, 0, START_US)
    assert cut.told == whole.told
    assert cut.faults == whole.faults
    assert cut.intake.totals == whole.intake.totals


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_no_bytes_raise_and_none_fill_the_bus(parts: list[bytes]) -> None:
    """Whatever a broken device sends, under whatever decoder."""
    for decoder in (None, json_paths.Decoder(json_paths.Config())):
        scene = Scene(device(max_channels=3), decoder=decoder)
        for part in parts:
            scene.intake.data(part + b"\n", 0, START_US)
            scene.intake.data(b'{"%b": 1}\n' % part[:3], 0, START_US)
        assert len(scene.bus.select(["#"])) <= 3


# -- channels --------------------------------------------------------------------------------------


class Telling:
    """A decoder that says something of its fields."""

    def __init__(self, **told: Metadata) -> None:
        self._told = told

    def decode(self, message: bytes) -> Decoded:
        return Decoded([], [Fault("not used", message)])

    def metadata(self, field: str) -> Metadata | None:
        return self._told.get(field)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (1, ValueType.FLOAT),
        (1.5, ValueType.FLOAT),
        (None, ValueType.FLOAT),
        (True, ValueType.BOOL),
        ("a", ValueType.STRING),
        ({"a": 1}, ValueType.JSON),
        ([1], ValueType.JSON),
    ],
)
def test_a_channel_has_the_type_of_its_first_value(value: Value, type_: ValueType) -> None:
    """Where nothing says otherwise; every number makes a float."""
    scene = Scene()
    scene.samples(Sample("x", value))
    (channel,) = scene.bus.select(["#"])
    assert channel.metadata == Metadata(type_, device="boiler")


def test_what_the_decoder_knows_of_a_field_is_taken() -> None:
    """Unit, type, decimals and kind."""
    known = Metadata(ValueType.INT, "m", 0, Kind.EVENT, "depth")
    scene = Scene(decoder=Telling(x=known))
    scene.samples(Sample("x", 5.0))
    (record,) = scene.records
    assert record.channel.metadata == replace(known, device="boiler")
    assert record.reading.value == 5
    assert type(record.reading.value) is int


def test_what_the_configuration_says_comes_first() -> None:
    """Each thing for itself; even an empty unit."""
    known = Metadata(ValueType.FLOAT, "m", 3, Kind.STATE, "depth")
    rules = ChannelRules(
        type=ValueType.INT, unit="", decimals=0, kind=Kind.EVENT, description="how deep"
    )
    scene = Scene(device(channels={"x": rules}), Telling(x=known))
    scene.samples(Sample("x", 5.0))
    (channel,) = scene.bus.select(["#"])
    assert channel.metadata == Metadata(ValueType.INT, "", 0, Kind.EVENT, "how deep", "boiler")


def test_values_are_made_to_fit_their_channel() -> None:
    """Scaled, rounded, checked; what does not fit is bad and not dropped."""
    rules = ChannelRules(scale=0.01, offset=1.0, range=(0.0, 10.0), decimals=1)
    scene = Scene(device(channels={"x": rules}))
    for value in (250, "abc", 5000):
        scene.samples(Sample("x", value))
    assert [(r.reading.value, r.reading.quality.reason) for r in scene.records] == [
        (3.5, ""),
        (None, "wrong_type"),
        (51.0, "out_of_range"),
    ]


def test_a_field_may_have_a_topic_of_its_own() -> None:
    """Before the route's, before the device's."""
    config = device(channels={"x": ChannelRules(topic="plant/{field}-of-{device}")})
    scene = Scene(config)
    route = Route("in/1", pattern="{1}/{source}/{field}", captures=("one",))
    scene.samples(Sample("x", 1.0), Sample("y", 2.0), route=route)
    scene.samples(Sample("y", 3.0))
    assert scene.told == [
        ("plant/x-of-boiler", 1.0),
        ("one/in/1/y", 2.0),
        ("boiler/y", 3.0),
    ]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{device}/{field}", "a+b"),
        ("{device}/{field}", "a//b"),
        ("{device}/{field}", ""),
        ("{device}/{field}", "\ud800"),
        ("{field}", "$sys/x"),
        ("{1}/{field}", "x"),
    ],
)
def test_a_field_that_makes_no_topic_is_refused_once(pattern: str, name: str) -> None:
    """It is told the first time and costs nothing more; the others go on."""
    scene = Scene(device(topic=pattern, channels={"good": ChannelRules(topic="good")}))
    for _ in range(3):
        scene.samples(Sample(name, 1.0), Sample("good", 1.0))
    assert [fault.reason for fault in scene.faults] == ["bad topic"]
    assert scene.told == [("good", 1.0)]
    assert scene.intake.totals.samples == 6


def test_two_fields_cannot_have_one_topic() -> None:
    """Nor two devices: the first one has it."""
    scene = Scene(device(topic="{device}/x"))
    scene.samples(Sample("a", 1.0), Sample("b", 2.0))
    assert scene.told == [("boiler/x", 1.0)]
    assert [fault.reason for fault in scene.faults] == ["topic belongs to another field"]
    other = Intake(scene.config, LineFramer(Framing()), None, scene.bus, scene.faults.append)
    other.samples(DEVICE, [Sample("c", 3.0)], 0, 0)
    assert scene.told == [("boiler/x", 1.0)]


def test_the_same_field_of_two_sources_is_two_channels() -> None:
    """Where the pattern tells them apart."""
    scene = Scene(device(topic="{device}/{source}/{field}"))
    for source in ("one", "two"):
        scene.samples(Sample("t", 1.0), route=Route(source))
    assert scene.told == [("boiler/one/t", 1.0), ("boiler/two/t", 1.0)]


def test_a_device_that_sends_garbage_cannot_fill_the_bus() -> None:
    """Beyond the cap every new field is a fault, and those that are known go on."""
    scene = Scene(device(max_channels=3))
    for i in range(10):
        scene.samples(Sample(f"x{i}", float(i)))
    scene.samples(Sample("x0", 5.0))
    assert len(scene.bus.select(["#"])) == 3
    assert scene.intake.totals.faults == {"too many channels": 7}
    assert scene.told[-1] == ("boiler/x0", 5.0)
    assert len(scene.fields) == 3


def test_refused_fields_count_towards_the_cap() -> None:
    """The table of them is bounded as well."""
    scene = Scene(device(max_channels=3))
    for i in range(10):
        scene.samples(Sample(f"#{i}", 1.0))
    assert scene.intake.totals.faults == {"bad topic": 3, "too many channels": 7}
    assert len(scene.fields) == 3


def test_the_cap_is_for_all_sources_together() -> None:
    """Past it, a source that was never seen is not remembered either."""
    scene = Scene(device(max_channels=3, topic="{source}/{field}"))
    for i in range(5):
        scene.samples(Sample("x", 1.0), Sample("y", 2.0), route=Route(f"s{i}"))
    assert [topic for topic, _ in scene.told] == ["s0/x", "s0/y", "s1/x"]
    assert scene.intake.totals.faults == {"too many channels": 7}
    assert list(scene.fields) == [("s0", "x"), ("s0", "y"), ("s1", "x")]


def test_a_fault_quotes_a_short_beginning() -> None:
    """However long the name of the field."""
    scene = Scene(device(max_channels=1))
    scene.samples(Sample("#" * 500, 1.0), Sample("y" * 500, 1.0))
    assert [len(fault.excerpt) for fault in scene.faults] == [80, 80]


def test_one_message_with_thousands_of_keys_leaves_room_for_the_others() -> None:
    """Neither a topic nor a message of a stream gets more than its share; the log says who did."""
    scene = Scene(device(max_channels=100, topic="{source}/{field}"))
    many = [Sample(f"k{i}", 1.0) for i in range(1000)]
    for source in ("bridge/info", "bridge/devices"):
        for _ in range(2):
            scene.samples(*many, route=Route(source))
    scene.samples(Sample("t", 1.0), route=Route("door"))
    assert len(scene.fields) == 51
    assert scene.told[-1] == ("door/t", 1.0)
    assert scene.intake.totals.faults == {"too many fields": 4 * 975}
    assert len(scene.faults) == 4, "one report a message"
    assert scene.faults[0].excerpt == b"bridge/info/k25"
    assert (
        "bridge/info brings more than 25, its share of max_channels = 100" in scene.faults[0].detail
    )
    assert "ignore_topics" in scene.faults[0].detail


def test_one_message_of_a_stream_leaves_room_for_the_next() -> None:
    """What a device says in many lines may fill all of its channels."""
    scene = Scene(device(max_channels=100))
    garbage = ";".join(f"k{i}=1" for i in range(60))
    scene.line(garbage)
    assert len(scene.fields) == 25
    scene.line("t=1")
    assert scene.told[-1] == ("boiler/t", 1.0)
    scene.line(garbage)
    scene.line(garbage)
    assert len(scene.fields) == 61


def test_who_has_the_channels_is_named_when_there_are_none_left() -> None:
    """A topic, or the tree of many that have a few each."""
    scene = Scene(device(max_channels=40, topic="{source}/{field}"))
    for i in range(12):
        route = Route(f"homeassistant/sensor/x{i}/config")
        scene.samples(*(Sample(name, 1.0) for name in "abc"), route=route)
    scene.samples(*(Sample(f"k{i}", 1.0) for i in range(9)), route=Route("z/lamp"))
    (fault,) = scene.faults
    assert fault.reason == "too many channels"
    assert scene.intake.totals.faults == {"too many channels": 5}
    assert (
        "max_channels = 40 are taken: homeassistant/sensor/# has 36, z/lamp has 4" in fault.detail
    )


def test_fields_that_are_ignored_take_no_room() -> None:
    """They give no reading and no fault."""
    scene = Scene(device(max_channels=2, ignore=("update/*", "linkquality")))
    names = ["linkquality", *(f"update/{i}" for i in range(9)), "t", "update", "x"]
    for _ in range(2):
        scene.samples(*(Sample(name, 1.0) for name in names))
    assert [topic for topic, _ in scene.told] == ["boiler/t", "boiler/update"]
    assert scene.intake.totals.faults == {"too many channels": 2}


def test_what_is_remembered_as_ignored_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, fields are ignored all the same."""
    monkeypatch.setattr("sensord.device.tap.MAX_IGNORED", 1)
    scene = Scene(device(ignore=("x*",)))
    scene.samples(*(Sample(f"x{i}", 1.0) for i in range(3)))
    assert scene.told == []
    assert scene.intake._maker._ignored == {"x0"}


@pytest.mark.parametrize(
    ("pattern", "source", "captures", "topic"),
    [
        ("lab/{source}/{field}", "/esp/kitchen", (), "lab/esp/kitchen/t"),
        ("all/{1}/{field}", "/esp/kitchen", ("/esp/kitchen",), "all/esp/kitchen/t"),
        ("{1}/{2}/{field}", "a//b/", ("a", "/b/"), "a/b/t"),
        ("x/{1}/{field}", "a//b", ("",), "x/t"),
        ("{source}", "/t", (), "t"),
    ],
)
def test_empty_levels_of_a_source_are_left_out(
    pattern: str, source: str, captures: tuple[str, ...], topic: str
) -> None:
    """MQTT allows them, at the beginning above all; our topics have none."""
    scene = Scene()
    scene.samples(Sample("t", 1.0), route=Route(source, pattern, captures))
    assert scene.told == [(topic, 1.0)]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{source}/{field}", "'a/b+/t': a topic may not contain the wildcards"),
        ("{1}/{field}", "'{1}//t': no level may be empty"),
        ("$x/{field}", "'$x/t': topics that begin with $"),
    ],
)
def test_a_topic_that_cannot_be_is_said_with_its_reason(pattern: str, words: str) -> None:
    """So that somebody can give it another pattern."""
    scene = Scene()
    scene.samples(Sample("t", 1.0), route=Route("a/b+", pattern))
    assert words in scene.faults[0].detail


# -- policies --------------------------------------------------------------------------------------


def test_each_event_is_published() -> None:
    """Changed or not, whatever the device's policy."""
    slow = Policy(deadband=100.0, min_period=60, stale_after=1)
    scene = Scene(device(publish=slow, channels={"e": ChannelRules(kind=Kind.EVENT)}))
    for _ in range(3):
        scene.samples(Sample("e", 1.0))
    assert scene.told == [("boiler/e", 1.0)] * 3
    assert scene.due() is None


def test_each_channel_has_the_policy_of_its_rules() -> None:
    """A pattern speaks for many fields."""
    rules = {"t*": ChannelRules(publish=Policy(deadband=1.0))}
    scene = Scene(device(channels=rules))
    for value in (1.0, 1.5):
        scene.samples(Sample("t1", value), Sample("x", value))
    assert scene.told == [("boiler/t1", 1.0), ("boiler/x", 1.0), ("boiler/x", 1.5)]


def test_what_waits_is_published_when_it_is_due() -> None:
    """With the time of the sample."""
    scene = Scene(device(publish=Policy(min_period=10)))
    scene.samples(Sample("t", 1.0))
    scene.samples(Sample("t", 2.0), at_s=1)
    assert scene.due() == 10 * S
    scene.intake.tick(10 * S)
    assert scene.told == [("boiler/t", 1.0), ("boiler/t", 2.0)]
    assert scene.records[-1].reading.time_us == START_US + S
    assert scene.due() is None
    assert scene.intake.totals.readings == 2


def test_a_tick_with_nothing_due_does_nothing() -> None:
    """It may come early."""
    scene = Scene(device(publish=Policy(stale_after=10)))
    scene.samples(Sample("t", 1.0))
    scene.intake.tick(9 * S)
    assert len(scene.records) == 1
    assert scene.due() == 10 * S


def test_losing_the_device_is_said_of_every_state() -> None:
    """At once and once; events happened, whatever became of the device."""
    scene = Scene(device(channels={"e": ChannelRules(kind=Kind.EVENT)}))
    scene.samples(Sample("t", 1.0), Sample("e", 1.0), Sample("#", 1.0))
    for _ in range(2):
        scene.intake.spoil(5 * S, GONE)
    assert scene.told[2:] == [("boiler/t", 1.0)]
    assert scene.records[-1].reading == Reading(START_US, 1.0, GONE, restates=True)
    scene.samples(Sample("t", 1.0), at_s=6)
    assert scene.records[-1].reading == Reading(START_US + 6 * S, 1.0)


# -- what a broker kept, cleared, or reports as away -----------------------------------------------

RETAINED = Quality(Level.UNCERTAIN, Reason.RETAINED)
MISSING = Quality(Level.BAD, Reason.MISSING)
LIVE = Route("in/a", "{device}/{field}")
KEPT = LIVE._replace(is_retained=True)


def test_a_retained_value_does_not_pass_for_a_new_one() -> None:
    """It is uncertain until a live one comes, which is published at once, also when it is equal."""
    slow = Policy(min_period=10, deadband=5)
    scene = Scene(device(publish=slow))
    scene.samples(Sample("t", 1.0), route=KEPT)
    scene.samples(Sample("t", 1.0), route=LIVE, at_s=1)
    assert [r.reading for r in scene.records] == [
        Reading(START_US, 1.0, RETAINED),
        Reading(START_US + S, 1.0),
    ]


def test_an_equal_retained_value_confirms_nothing() -> None:
    """After a lost connection it keeps the time at which it was said, and stays uncertain."""
    scene = Scene(device(publish=Policy(stale_after=30)))
    scene.samples(Sample("t", 1.0), route=LIVE)
    scene.intake.spoil(5 * S, GONE)
    scene.intake.reset()
    for at_s in (6, 7):
        scene.samples(Sample("t", 1.0), route=KEPT, at_s=at_s)
    assert [r.reading for r in scene.records[1:]] == [
        Reading(START_US, 1.0, GONE, restates=True),
        Reading(START_US, 1.0, RETAINED, restates=True),
    ]


def test_another_retained_value_is_one_of_unknown_age() -> None:
    """It was published while nobody listened."""
    scene = Scene()
    scene.samples(Sample("t", 1.0), route=LIVE)
    scene.intake.spoil(5 * S, GONE)
    scene.samples(Sample("t", 2.0), route=KEPT, at_s=6)
    assert scene.records[-1].reading == Reading(START_US + 6 * S, 2.0, RETAINED)


def test_a_retained_value_does_not_replace_a_live_one() -> None:
    """It may come later, of a second subscription, and is older all the same."""
    scene = Scene()
    scene.samples(Sample("t", 2.0), route=LIVE)
    scene.samples(Sample("t", 1.0), route=KEPT, at_s=1)
    assert scene.told == [("boiler/t", 2.0)]


def test_an_equal_retained_value_keeps_its_time_over_a_restart() -> None:
    """The reading of before the start is remembered by the bus."""
    scene = Scene()
    channel = scene.bus.channel("boiler/t", Metadata(device="boiler"))
    stale = Quality(Level.UNCERTAIN, Reason.STALE)
    scene.bus.remember(Record(0, 5, channel, Reading(5, 1.0, stale, restates=True)))
    scene.samples(Sample("t", 1.0), route=KEPT)
    assert scene.records[-1].reading == Reading(5, 1.0, RETAINED, restates=True)


def test_the_time_in_a_retained_message_counts() -> None:
    """Equal, but of a later time, it is another value; how it fares now is unknown all the same."""
    scene = Scene()
    scene.samples(Sample("t", 1.0, GOOD, 100), route=LIVE)
    scene.intake.spoil(S, GONE)
    scene.samples(Sample("t", 1.0, GOOD, 200), route=KEPT, at_s=2)
    assert scene.records[-1].reading == Reading(200, 1.0, RETAINED)


def test_a_retained_event_is_not_counted_twice() -> None:
    """The first one is uncertain; it comes again with each connection."""
    scene = Scene(device(channels={"e": ChannelRules(kind=Kind.EVENT)}))
    scene.samples(Sample("e", "press"), route=KEPT)
    scene.intake.spoil(S, GONE)
    scene.samples(Sample("e", "press"), route=KEPT, at_s=2)
    scene.samples(Sample("e", "press"), route=LIVE, at_s=3)
    assert [r.reading.quality for r in scene.records] == [RETAINED, GOOD]


def test_a_bad_retained_value_is_no_better_for_its_age() -> None:
    """Its own reason stays."""
    scene = Scene(device(channels={"t": ChannelRules(range=(0.0, 1.0))}))
    scene.samples(Sample("t", 2.0), route=KEPT)
    assert scene.records[-1].reading.quality == Quality(Level.BAD, Reason.OUT_OF_RANGE)


def test_an_empty_message_says_that_there_is_no_value_any_more() -> None:
    """Once, of the states of its source alone, and without a fault."""
    scene = Scene(device(channels={"e": ChannelRules(kind=Kind.EVENT)}))
    other = Route("in/b", "other/{field}")
    scene.samples(Sample("t", 1.0), Sample("e", 1.0), route=LIVE)
    scene.samples(Sample("t", 1.0), route=other)
    for at_s in (3, 4):
        scene.intake.message(LIVE, b"", at_s * S, START_US + at_s * S)
    scene.intake.message(Route("in/never"), b"", 5 * S, START_US + 5 * S)
    assert [(r.channel.topic, r.reading) for r in scene.records[3:]] == [
        ("boiler/t", Reading(START_US + 3 * S, None, MISSING)),
    ]
    assert scene.faults == []
    scene.samples(Sample("t", 1.0), route=LIVE, at_s=6)
    assert scene.records[-1].reading == Reading(START_US + 6 * S, 1.0)


DOOR = Route("z/door", "door/{field}", depends_on=("bridge", "z/door/availability"))
LAMP = Route("z/lamp", "lamp/{field}", depends_on=("bridge", "z/lamp/availability"))


def test_a_device_that_is_away_takes_exactly_its_channels_along() -> None:
    """They say so at once; when it is back they wait for their next value."""
    scene = Scene()
    for route in (DOOR, LAMP):
        scene.samples(Sample("t", 1.0), route=route)
    scene.intake.availability("z/door/availability", 2 * S, 0, is_there=False)
    assert [(r.channel.topic, r.reading) for r in scene.records[2:]] == [
        ("door/t", Reading(START_US, 1.0, GONE, restates=True))
    ]
    scene.intake.availability("z/door/availability", 3 * S, 0, is_there=True)
    assert len(scene.records) == 3
    scene.samples(Sample("t", 1.0), route=DOOR, at_s=4)
    assert scene.records[-1].reading == Reading(START_US + 4 * S, 1.0)


def test_a_gateway_that_is_away_takes_all_along() -> None:
    """A source may depend on more than one."""
    scene = Scene()
    for route in (DOOR, LAMP):
        scene.samples(Sample("t", 1.0), route=route)
    scene.intake.availability("bridge", 2 * S, 0, is_there=False)
    told = [(r.channel.topic, r.reading.quality) for r in scene.records[2:]]
    assert told == [("door/t", GONE), ("lamp/t", GONE)]


def test_what_a_broker_kept_of_a_device_that_is_away_is_bad() -> None:
    """Whichever of the two comes first; a live value is a sign of life."""
    scene = Scene()
    scene.intake.availability("z/door/availability", 0, 0, is_there=False)
    scene.samples(Sample("t", 1.0), route=DOOR._replace(is_retained=True))
    assert scene.records[-1].reading == Reading(START_US, 1.0, GONE)
    scene.samples(Sample("t", 1.0), route=DOOR, at_s=1)
    assert scene.records[-1].reading == Reading(START_US + S, 1.0)


def test_what_was_away_is_unknown_after_a_lost_connection() -> None:
    """The broker reports it again."""
    scene = Scene()
    scene.intake.availability("bridge", 0, 0, is_there=False)
    scene.intake.reset()
    scene.samples(Sample("t", 1.0), route=DOOR._replace(is_retained=True))
    assert scene.records[-1].reading.quality == RETAINED


def test_what_is_remembered_as_away_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the channels turn bad all the same."""
    monkeypatch.setattr("sensord.device.intake.MAX_AWAY", 1)
    scene = Scene()
    scene.samples(Sample("t", 1.0), route=DOOR)
    for name in ("other", "bridge"):
        scene.intake.availability(name, S, 0, is_there=False)
    assert scene.intake._away == {"other"}
    assert scene.records[-1].reading.quality == GONE


steps = st.lists(
    st.tuples(
        st.integers(0, 15),
        st.sampled_from(["a", "b", "c", "e"]),
        st.floats(0, 3),
        st.sampled_from(["sample", "sample", "sample", "tick", "spoil"]),
    ),
    max_size=30,
)


@given(steps)
def test_the_time_that_is_due_is_never_late(
    told: Iterable[tuple[int, str, float, str]],
) -> None:
    """No channel waits beyond it; it may be early."""
    rules = {
        "a": ChannelRules(publish=Policy(min_period=5)),
        "b": ChannelRules(publish=Policy("periodic", period=7)),
        "c": ChannelRules(publish=Policy(stale_after=9)),
        "e": ChannelRules(kind=Kind.EVENT),
    }
    scene = Scene(device(channels=rules))
    intake, now_s = scene.intake, 0
    for wait_s, name, value, act in told:
        now_s += wait_s
        match act:
            case "sample":
                scene.samples(Sample(name, value), at_s=now_s)
            case "tick":
                intake.tick(now_s * S)
            case _:
                intake.spoil(now_s * S, GONE)
        dues = [tap.publisher.due_us for tap in scene.fields.values() if tap is not None]
        first = min((due for due in dues if due is not None), default=None)
        assert first is None or (intake.due_us is not None and intake.due_us <= first)


def test_several_devices_in_one_channel_are_named_once() -> None:
    """Node 12 and node 13 shared a channel, both good, and nothing said so."""
    scene = Scene(decoder=csv_line.Decoder(csv_line.Config(fields=("node", "child", "payload"))))
    for line in ("12,1,21.5", "13,1,-3.5", "12,1,21.6", "13,1,-3.6"):
        scene.line(line)
    (fault,) = scene.faults
    assert (fault.reason, fault.excerpt) == ("several devices in one channel", b"/node")
    assert fault.detail.startswith("node is 12")
    assert scene.intake.totals.faults == {"several devices in one channel": 1}


def test_bad_data_of_a_source_is_named_with_it() -> None:
    """Of a hundred MQTT topics, one is to be looked at."""
    scene = Scene()
    scene.intake.message(Route("zigbee/kitchen"), b"nonsense", 0, START_US)
    (fault,) = scene.faults
    assert fault.detail == "from zigbee/kitchen"


@pytest.mark.parametrize("time_us", [-1, 2**53, 2**63 - 1, -(2**63), 10**30])
def test_a_source_time_out_of_bounds_is_a_fault_and_arrival_counts(time_us: int) -> None:
    """No frame and no calendar has it; the value is as good as it was."""
    scene = Scene()
    scene.samples(Sample("t", 21.5, time_us=time_us), at_s=7)
    scene.samples(Sample("u", 1, time_us=time_us), route=KEPT, at_s=7)
    assert [fault.reason for fault in scene.faults] == ["bad time", "bad time"]
    times = [record.reading.time_us for record in scene.records]
    assert times == [START_US + 7 * S] * 2


HOUR = 3600 * S


def timed(**more: Any) -> Scene:
    """Make a scene of a device that sends times; ``zone`` is its decoder's."""
    zone = more.pop("zone", "")
    config = key_value.Config(time="at", time_unit=TimeUnit.ISO8601, zone=zone)
    bounds = {"time_behind": 30 * 24 * 3600.0, "time_ahead": 600.0}
    return Scene(device(**bounds | more), key_value.Decoder(config))


def at(ago_us: int, zone: str = "Z") -> str:
    return f"at={(iso(START_US - ago_us) or '')[:-1]}{zone};t=21.5;u=1"


@pytest.mark.parametrize(
    ("ago_us", "is_believed"),
    [
        (0, True),
        (-599 * S, True),
        (-601 * S, False),
        (-2 * HOUR, False),
        (7 * HOUR, True),
        (30 * 24 * HOUR, True),
        (30 * 24 * HOUR + S, False),
        (20 * 365 * 24 * HOUR, False),
    ],
)
def test_a_source_time_is_believed_within_bounds(ago_us: int, is_believed: bool) -> None:
    """Beyond them arrival counts, and one fault names the time."""
    scene = timed()
    scene.line(at(ago_us))
    expected = START_US - ago_us if is_believed else START_US
    assert [record.reading.time_us for record in scene.records] == [expected] * 2
    assert [record.reading.quality for record in scene.records] == [GOOD] * 2
    assert [fault.reason for fault in scene.faults] == ["bad time"] * (not is_believed)


@pytest.mark.parametrize("ago_us", [-2 * HOUR, 7 * HOUR, 1800 * S])
def test_a_time_without_a_zone_is_no_hours_off(ago_us: int) -> None:
    """It passed for UTC, good and without a word."""
    scene = timed()
    scene.line(at(ago_us, zone=""))
    assert [record.reading.time_us for record in scene.records] == [START_US] * 2
    assert [fault.reason for fault in scene.faults] == ["bad time"]


def test_a_time_without_a_zone_that_is_near_is_utc() -> None:
    """No zone is less than half an hour off."""
    scene = timed()
    scene.line(at(3 * S, zone=""))
    assert [record.reading.time_us for record in scene.records] == [START_US - 3 * S] * 2
    assert scene.faults == []


def test_a_zone_that_is_named_is_believed_within_the_device_s_bounds() -> None:
    """What was kept for hours while there was no network is as old as it is."""
    scene = timed(zone="UTC")
    scene.line(at(7 * HOUR, zone=""))
    assert [record.reading.time_us for record in scene.records] == [START_US - 7 * HOUR] * 2


def test_the_bounds_are_the_device_s() -> None:
    """A logger that is read once a year has others."""
    for ago_us, time_us in ((365 * 24 * HOUR, START_US - 365 * 24 * HOUR), (-S, START_US)):
        scene = timed(time_behind=2 * 365 * 24 * 3600.0, time_ahead=0.0)
        scene.line(at(ago_us))
        assert [record.reading.time_us for record in scene.records] == [time_us] * 2


def test_an_unset_clock_bounds_nothing() -> None:
    """The device's time may well be the better one."""
    scene = timed()
    scene.intake.times.is_clock_set = False
    scene.line(at(-20 * 365 * 24 * HOUR))
    expected = START_US + 20 * 365 * 24 * HOUR
    assert [record.reading.time_us for record in scene.records] == [expected] * 2
    assert [record.reading.quality for record in scene.records] == [GOOD] * 2


def test_what_comes_by_an_unset_clock_is_uncertain() -> None:
    """A value that is worse anyway stays what it is."""
    scene = Scene()
    scene.intake.times.is_clock_set = False
    uncertain = Quality(Level.UNCERTAIN, "noisy")
    scene.samples(Sample("a", 1), Sample("b", 1, uncertain), Sample("c", 1, GONE))
    scene.intake.times.is_clock_set = True
    scene.samples(Sample("a", 1), at_s=1)
    qualities = [record.reading.quality for record in scene.records]
    assert qualities == [Quality(Level.UNCERTAIN, "clock"), uncertain, GONE, GOOD]


@pytest.mark.parametrize("is_set", [True, False])
def test_a_receiver_s_date_is_put_right_by_a_clock_that_is_set(is_set: bool) -> None:
    """1024 weeks behind it passed for good."""
    scene = Scene(decoder=nmea0183.Decoder(nmea0183.Config()))
    scene.intake.times.is_clock_set = is_set
    # 1024 weeks before 2023-11-14, where the clock of a test begins.
    scene.line("$GPRMC,221320,A,4807.038,N,01131.000,E,0.0,0.0,300304,,")
    (told,) = [r.reading for r in scene.records if r.channel.topic == "boiler/time"]
    date, reason = ("2023-11-14", "week_rollover") if is_set else ("2004-03-30", "clock")
    assert (told.value, told.quality.reason) == (f"{date}T22:13:20.000Z", reason)


# -- several devices behind one connection ---------------------------------------------------------


def test_a_device_behind_a_connection_has_topics_and_metadata_of_its_own() -> None:
    """Two meters on one bus have fields of one name, and each its unit and its rules."""
    rules = {"volts": ChannelRules(range=(0, 300)), "cellar/volts": ChannelRules(range=(0, 1000))}
    scene = Scene(device(channels=rules), decoder=None)
    for name, unit in (("attic", "V"), ("cellar", "mV")):
        scene.intake.describe("volts", Metadata(unit=unit), name)
        scene.samples(Sample("volts", 400.0), route=Route(name, device=name))
    attic, cellar = scene.records
    assert attic.channel.topic == "attic/volts"
    assert attic.reading.quality.reason is Reason.OUT_OF_RANGE
    assert (attic.channel.metadata.device, attic.channel.metadata.unit) == ("attic", "V")
    assert cellar.channel.topic == "cellar/volts"
    assert cellar.reading.value == 400.0
    assert (cellar.channel.metadata.device, cellar.channel.metadata.unit) == ("cellar", "mV")


def test_false_is_no_zero_of_a_quantity() -> None:
    """An API that answers false for "no value" made 0 Cel of it, good."""
    channels = {"t": ChannelRules(unit="Cel"), "on": ChannelRules(type=ValueType.INT)}
    scene = Scene(device(channels=channels), json_paths.Decoder(json_paths.Config()))
    scene.line('{"t": 21.5, "on": true, "x": 7}')
    scene.line('{"t": false, "on": false, "x": false}')
    assert scene.told == [
        ("boiler/t", 21.5),
        ("boiler/on", 1),
        ("boiler/x", 7.0),
        ("boiler/t", None),
        ("boiler/on", 0),
        ("boiler/x", None),
    ]


def test_a_large_first_value_does_not_round_those_that_follow() -> None:
    """It made a channel of whole numbers, in which 21.456 was 21, good."""
    scene = one_line("n=9007199254740993", n=ChannelRules(decimals=2))
    scene.line("n=21.456")
    first, second = (record.reading for record in scene.records)
    assert first.quality.reason == Reason.INEXACT
    assert (second.value, second.quality) == (21.46, GOOD)
