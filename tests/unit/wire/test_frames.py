"""What was published is what arrives, to the bit, in both encodings."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sensord.errors import ProtocolError
from sensord.model.readings import (
    GOOD,
    Channel,
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
from sensord.wire.frames import CODECS, EXACT, JSON, MSGPACK, WRAPPED, Codec

BOTH = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])

FLOAT = Channel(3, "f", Metadata())
CENTI = Channel(4, "c", Metadata(decimals=2))
INT = Channel(5, "i", Metadata(ValueType.INT))
DEEP = Channel(6, "j", Metadata(ValueType.JSON))

STALE = Quality(Level.UNCERTAIN, Reason.STALE)
GONE = Quality(Level.BAD, Reason.DISCONNECTED)

channels = {
    channel.number: channel
    for channel in [
        *(Channel(d, f"f{d}", Metadata(decimals=d)) for d in range(16)),
        Channel(20, "f", Metadata()),
        Channel(21, "i", Metadata(ValueType.INT, decimals=2)),
        Channel(22, "b", Metadata(ValueType.BOOL)),
        Channel(23, "s", Metadata(ValueType.STRING, kind=Kind.EVENT)),
        Channel(24, "j", Metadata(ValueType.JSON)),
    ]
}

# -- strategies ------------------------------------------------------------------------------------

EDGES = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    float(EXACT - 1),
    float(EXACT),
    -float(EXACT),
    float(EXACT) * 1000,
    1e15,
    1e22,
    0.1,
    23.45,
    1.005,
    2.675,
    -273.15,
    4503599627370496.5,
]

floats = st.one_of(
    st.sampled_from(EDGES),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**60), 2**60).map(float),
    st.builds(lambda n, d: n / 10**d, st.integers(-(10**17), 10**17), st.integers(0, 15)),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
integers = st.integers(-(2**63), 2**64 - 1)
deep: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(texts | st.sampled_from(["j", "q", "r", "v", "age"]), inner, max_size=3)
    ),
    max_leaves=6,
)
VALUES: dict[ValueType, st.SearchStrategy[Value]] = {
    ValueType.FLOAT: floats,
    ValueType.INT: integers,
    ValueType.BOOL: st.booleans(),
    ValueType.STRING: texts,
    ValueType.JSON: deep,
}
qualities = st.just(GOOD) | st.builds(
    Quality,
    st.sampled_from([Level.UNCERTAIN, Level.BAD]),
    st.sampled_from(list(Reason)) | texts,
)
times = st.integers(-(2**60), 2**60) | st.integers(1_700_000_000_000_000, 1_700_000_000_100_000)


@st.composite
def some_records(draw: st.DrawFn) -> list[Record]:
    records = []
    for offset in range(draw(st.integers(0, 8))):
        channel = draw(st.sampled_from(list(channels.values())))
        quality = draw(qualities)
        value = draw(VALUES[channel.metadata.type])
        if quality.level and draw(st.booleans()):
            value = None
        reading = Reading(draw(times), value, quality, draw(st.booleans()))
        records.append(Record(offset, draw(times), channel, reading))
    return records


def bits(value: Value) -> object:
    """Return a value so that equal means the same to the bit, and of the same type."""
    match value:
        case float():
            return ("float", struct.pack(">d", value))
        case list():
            return [bits(item) for item in value]
        case dict():
            return [(key, bits(item)) for key, item in value.items()]
        case _:
            return (type(value), value)


def round_trip(codec: Codec, records: Sequence[Record]) -> list[tuple[int, int, Reading]]:
    """Return number, told time and reading of each record as a client sees them."""
    raw = codec.decode(codec.frame(1, 2, records))
    assert isinstance(raw, list)
    frame = codec.read_frame(raw, lambda number: channels[number].metadata)
    assert (frame.stream, frame.cursor) == (1, 2)
    return [(one.channel, one.reported_us, one.reading) for one in frame.readings]


def one_value(codec: Codec, channel: Channel, reading: Reading, log_us: int = 0) -> Any:
    """Return how a reading stands in a frame."""
    return codec.decode(codec.frame(0, None, [Record(0, log_us, channel, reading)]))[3][2]  # type: ignore[index]  # a frame


# -- decode undoes encode --------------------------------------------------------------------------


@BOTH
@given(some_records())
def test_reading_a_frame_undoes_writing_it(codec: Codec, records: list[Record]) -> None:
    """Value, type, quality, source time, whether it restates, and when it was told."""
    told = round_trip(codec, records)
    assert len(told) == len(records)
    for (number, reported_us, reading), record in zip(told, records, strict=True):
        assert number == record.channel.number
        assert reported_us == (record.log_us if record.reading.restates else record.reading.time_us)
        assert reading[0::2] == record.reading[0::2]
        assert reading.restates is record.reading.restates
        assert type(reading.quality.level) is Level
        assert bits(reading.value) == bits(record.reading.value)


@BOTH
@given(some_records())
def test_a_frame_made_for_one_stream_serves_another(codec: Codec, records: list[Record]) -> None:
    """To the byte."""
    shared = codec.frame(0, 7, records)
    for stream in (0, 1, 127, 128, 70_000, 1 << 40):
        assert codec.with_stream(shared, stream) == codec.frame(stream, 7, records)


@BOTH
@given(floats, st.integers(0, 15))
@example(0.1 + 0.2, 1)
@example(float(EXACT), 0)
@example(9007199254740993.0, 15)
@example(1e308, 15)
@example(5e-324, 15)
def test_a_float_arrives_to_the_bit_whatever_its_decimals(
    codec: Codec, value: float, decimals: int
) -> None:
    """Scaling never rounds."""
    channel = channels[decimals]
    ((_, _, reading),) = round_trip(codec, [Record(0, 0, channel, Reading(0, value))])
    assert bits(reading.value) == bits(value)


@given(floats, st.sampled_from([20, *range(16)]), qualities, st.booleans())
def test_no_whole_float_below_2_53_stands_bare_in_msgpack(
    value: float, number: int, quality: Quality, restates: bool
) -> None:
    """JavaScript could not tell it from a scaled integer."""
    reading = Reading(0, value, quality, restates)
    payload = MSGPACK.frame(1, 2, [Record(0, 0, channels[number], reading)])
    bare = msgpack.unpackb(payload)[3][2]
    if type(bare) is float:
        assert not bare.is_integer() or abs(bare) >= EXACT
    elif type(bare) is int:
        assert abs(bare) < EXACT
        assert bits(bare / 10 ** (channels[number].metadata.decimals or 0)) == bits(value)
    else:
        assert bare.code == WRAPPED


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_a_value_of_few_digits_travels_as_an_integer(digits: int, decimals: int) -> None:
    """Three bytes for 23.45 instead of nine."""
    value = digits / 10**decimals
    assert one_value(MSGPACK, channels[decimals], Reading(0, value)) == digits


# -- how it is written -----------------------------------------------------------------------------


@BOTH
def test_a_frame_is_an_array_of_four(codec: Codec) -> None:
    """Stream, cursor, time of the first reading, and triples with differences of times."""
    records = [
        Record(0, 0, FLOAT, Reading(1000, 0.5)),
        Record(1, 0, CENTI, Reading(1500, 1.5)),
        Record(2, 0, FLOAT, Reading(900, 2.5)),
    ]
    first, second, third = (0.5, 150, 2.5) if codec is MSGPACK else (0.5, 1.5, 2.5)
    flat = [3, 0, first, 4, 500, second, 3, -600, third]
    assert codec.decode(codec.frame(12, 4711, records)) == [12, 4711, 1000, flat]


@BOTH
def test_an_empty_frame_begins_at_0(codec: Codec) -> None:
    """Its cursor still counts; a snapshot has none."""
    assert codec.decode(codec.frame(1, 5, [])) == [1, 5, 0, []]
    assert codec.decode(codec.frame(1, None, [])) == [1, None, 0, []]


@BOTH
def test_a_reading_that_restates_is_told_when_it_did(codec: Codec) -> None:
    """With the age of the value beside it."""
    reading = Reading(100, 1.5, GOOD, restates=True)
    raw = codec.decode(codec.frame(0, 1, [Record(0, 175, FLOAT, reading)]))
    assert isinstance(raw, list)
    assert raw[2] == 175
    frame = codec.read_frame(raw, lambda _: FLOAT.metadata)
    assert frame.readings == [(3, 175, reading)]


def test_a_device_whose_clock_is_ahead_has_a_negative_age() -> None:
    """The source time is kept all the same."""
    reading = Reading(200, 1.5, STALE, restates=True)
    told = one_value(JSON, FLOAT, reading, log_us=175)
    assert told == {"v": 1.5, "q": 1, "r": "stale", "age": -25}


@pytest.mark.parametrize(
    ("channel", "reading", "told"),
    [
        (FLOAT, Reading(0, 1.5), 1.5),
        (FLOAT, Reading(0, 5.0), 5.0),
        (CENTI, Reading(0, 21.53), 21.53),
        (INT, Reading(0, 2**63), 2**63),
        (FLOAT, Reading(0, None, GONE), {"v": None, "q": 2, "r": "disconnected"}),
        (FLOAT, Reading(0, 1.5, GOOD, restates=True), {"v": 1.5, "age": 10}),
        (DEEP, Reading(0, {"q": 1}), {"j": {"q": 1}}),
        (DEEP, Reading(0, [{"a": 1}]), [{"a": 1}]),
        (DEEP, Reading(0, None), None),
        (DEEP, Reading(0, {"a": 1}, STALE), {"v": {"a": 1}, "q": 1, "r": "stale"}),
    ],
)
def test_in_json_a_value_is_itself_or_an_object(
    channel: Channel, reading: Reading, told: object
) -> None:
    """Never scaled; what is not plain has its parts by name, default ones left out."""
    found = one_value(JSON, channel, reading, log_us=10)
    assert found == told
    assert type(found) is type(told)


@pytest.mark.parametrize(
    ("channel", "reading", "told"),
    [
        (CENTI, Reading(0, 23.45), 2345),
        (CENTI, Reading(0, 23.456), 23.456),
        (FLOAT, Reading(0, 5.0), 5),
        (FLOAT, Reading(0, -5.0), -5),
        (FLOAT, Reading(0, 0.0), 0),
        (INT, Reading(0, 2**63), 2**63),
        (DEEP, Reading(0, {"q": 1}), {"q": 1}),
        (DEEP, Reading(0, 5.0), 5.0),
        (FLOAT, Reading(0, 2.0**53), 2.0**53),
    ],
)
def test_in_msgpack_a_good_value_stands_bare(
    channel: Channel, reading: Reading, told: object
) -> None:
    """A float as an integer where that is exact."""
    found = one_value(MSGPACK, channel, reading)
    assert found == told
    assert type(found) is type(told)


@pytest.mark.parametrize(
    ("channel", "reading", "parts"),
    [
        (FLOAT, Reading(0, None, GONE), [2, "disconnected", None]),
        (FLOAT, Reading(0, 1.5, GOOD, restates=True), [0, "", 1.5, 10]),
        (CENTI, Reading(0, 23.45, STALE), [1, "stale", 23.45]),
        (FLOAT, Reading(0, -0.0), [0, "", -0.0]),
        (CENTI, Reading(0, 2.0**52), [0, "", 2.0**52]),
    ],
)
def test_in_msgpack_all_else_is_wrapped(
    channel: Channel, reading: Reading, parts: list[object]
) -> None:
    """In an extension of type 1; the value is never scaled there."""
    payload = MSGPACK.frame(1, 2, [Record(0, 10, channel, reading)])
    wrapped = msgpack.unpackb(payload)[3][2]
    assert wrapped.code == WRAPPED
    assert msgpack.unpackb(wrapped.data) == parts


@BOTH
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83d\ude00"])
def test_a_text_with_half_a_character_does_not_raise(codec: Codec, text: str) -> None:
    """It becomes a question mark, in values, reasons and messages alike."""
    readings = [
        Reading(0, text),
        Reading(0, text, Quality(Level.BAD, text)),
        Reading(0, {text: [text]}),
    ]
    records = [Record(i, 0, DEEP, reading) for i, reading in enumerate(readings)]
    decoded = codec.decode(codec.frame(0, 0, records))
    assert "\ud800" not in str(decoded)
    message = codec.decode(codec.message({"op": "error", "message": text}))
    assert isinstance(message, dict)
    assert "?" in message["message"]


def test_codecs_are_found_by_their_subprotocols() -> None:
    """One of binary messages, one of text."""
    assert CODECS == {"sensord.v1.msgpack": MSGPACK, "sensord.v1.json": JSON}
    assert not MSGPACK.is_text
    assert JSON.is_text


@BOTH
@given(st.dictionaries(texts, deep, max_size=4))
def test_reading_a_message_undoes_writing_it(codec: Codec, message: dict[str, Value]) -> None:
    """Keys keep their order, values their types."""
    assert bits(codec.decode(codec.message(message))) == bits(message)  # type: ignore[arg-type]  # plain


# -- what cannot be read ---------------------------------------------------------------------------


@BOTH
@given(st.binary(max_size=30))
def test_any_bytes_are_a_message_or_a_protocol_error(codec: Codec, data: bytes) -> None:
    """Nothing else is raised; and what is an array is a frame or none."""
    try:
        decoded = codec.decode(data)
        if isinstance(decoded, list):
            codec.read_frame(decoded, lambda number: channels[number].metadata)
    except ProtocolError as caught:
        code = caught.code
    else:
        code = "bad_message"
    assert code == "bad_message"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[1,2",
        b'{"op": "ping"} x',
        b"NaN",
        b"[-Infinity]",
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_what_is_not_one_json_text_is_refused(payload: bytes) -> None:
    """Nor what only Python calls JSON, nor what is nested without end."""
    with pytest.raises(ProtocolError, match="not one JSON text"):
        JSON.decode(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x92\x01",
        b"\x01\x01",
        b"\xc1",
        b"\xa1\xff",
        b"\x81\x90\x01",
        b"\x81\x01\x01",
        b"\x91" * 100_000 + b"\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\xc7\x01\x01\xc0",
        b"\xd4\x01\x90",
        b"\xc7\x05\xff\x00\x00\x00\x00\x00",
    ],
)
def test_what_is_not_one_msgpack_object_is_refused(payload: bytes) -> None:
    """Cut, doubled, reserved, not UTF-8, odd keys, nested without end, wrongly wrapped."""
    with pytest.raises(ProtocolError, match="not one msgpack object"):
        MSGPACK.decode(payload)


@pytest.mark.parametrize(
    "value",
    [
        msgpack.ExtType(2, b"\x01"),
        msgpack.ExtType(1, msgpack.packb([0, "", msgpack.ExtType(3, b"")])),
        msgpack.ExtType(1, msgpack.packb([0, "", {"a": msgpack.Timestamp(1)}])),
        msgpack.Timestamp(1),
        msgpack.Timestamp(1 << 33, 5),
        msgpack.Timestamp(1 << 40, 5),
    ],
)
def test_an_extension_that_is_not_known_is_refused(value: object) -> None:
    """It became null, as a value that is missing would be."""
    with pytest.raises(ProtocolError, match="extension type"):
        MSGPACK.decode(msgpack.packb({"op": "put", "value": [value]}))


frame_parts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.sampled_from(["j", "q", "r", "v", "age"]), inner)
    ),
    max_leaves=12,
)


@BOTH
@given(
    st.lists(frame_parts, max_size=5)
    | st.builds(
        lambda flat: [1, 2, 3, flat],
        st.lists(st.sampled_from([0, 3, 4, 24, -1, True, 0.5, 10**400]) | frame_parts, max_size=6),
    )
)
def test_any_array_is_a_frame_or_a_protocol_error(codec: Codec, raw: list[object]) -> None:
    """Nothing that a server sends raises anything else, and times stay integers."""
    try:
        frame = codec.read_frame(raw, lambda number: channels[number].metadata)
    except ProtocolError:
        return
    for one in frame.readings:
        assert type(one.channel) is int
        assert type(one.reported_us) is type(one.reading.time_us) is int
        assert type(one.reading.quality.level) is Level


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        [],
        [1, 2, 3],
        [1, 2, 3, [], 5],
        ["1", 2, 3, []],
        [True, 2, 3, []],
        [-1, 2, 3, []],
        [1, "2", 3, []],
        [1, 2.0, 3, []],
        [1, True, 3, []],
        [1, 2, None, []],
        [1, 2, 3, {}],
        [1, 2, 3, [4]],
        [1, 2, 3, [4, 0]],
        [1, 2, 3, [4, 0, 1, 4]],
        [1, 2, 3, [99, 0, 1]],
        [1, 2, 3, [True, 0, 1]],
        [1, 2, 3, [[], 0, 1]],
        [1, 2, 3, [4, 0.5, 1]],
        [1, 2, 3, [4, None, 1]],
    ],
)
def test_what_is_no_frame_is_refused(codec: Codec, raw: list[object]) -> None:
    """The wrong number of parts, the wrong types, a channel that was never announced."""
    with pytest.raises(ProtocolError, match="not a data frame"):
        codec.read_frame(raw, lambda number: channels[number].metadata)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"q": 3, "v": 1.0},
        {"q": "1", "v": 1.0},
        {"q": True, "v": 1.0},
        {"q": 1, "r": 5, "v": 1.0},
        {"v": 1.0, "age": "old"},
        {"v": 1.0, "age": 0.5},
        {"v": 10**400},
    ],
)
def test_a_wrongly_wrapped_value_is_refused(wrapped: dict[str, object]) -> None:
    """A level that does not exist, a reason that is no text, an age that is no integer."""
    with pytest.raises(ProtocolError, match="not a data frame"):
        JSON.read_frame([1, 2, 3, [20, 0, wrapped]], lambda number: channels[number].metadata)


def test_a_float_that_was_written_as_an_integer_is_a_float() -> None:
    """Some writers of JSON say 5 for 5.0."""
    raw = [1, 2, 0, [4, 0, 5, 4, 0, {"v": 5, "q": 1, "r": "stale"}]]
    frame = JSON.read_frame(raw, lambda _: CENTI.metadata)
    assert [bits(one.reading.value) for one in frame.readings] == [bits(5.0)] * 2


def test_an_object_is_not_taken_for_a_wrapped_value() -> None:
    """Not even one that looks like it."""
    objects: list[Value] = [{"q": 2, "r": "x", "v": 1}, {"j": {"j": 1}}, {}]
    for value in objects:
        (told,) = round_trip(JSON, [Record(0, 0, channels[24], Reading(0, value))])
        assert told == (24, 0, Reading(0, value))


@BOTH
def test_what_cannot_be_sent_is_bad_and_the_others_are_as_they_are(codec: Codec) -> None:
    """It ended the sessions that asked for it; in a group, the daemon."""
    deep: Value = None
    for _ in range(100_000):  # newer versions of Python encode some thousand levels
        deep = [deep]
    good = Reading(5, 1.5)
    odd = [Reading(5, math.nan if codec is JSON else 2**64), Reading(5, deep), Reading(2**70, "x")]
    records = [Record(i, 7, DEEP, one) for i, one in enumerate([good, *odd, good])]
    told = [reading for _, _, reading in round_trip(codec, records)]
    bad = Quality(Level.BAD, Reason.NOT_SENDABLE)
    unsent = Reading(5, None, bad)
    assert told == [good, unsent, unsent, Reading(7, "x"), good]


def test_json_is_as_short_as_it_can_be() -> None:
    """No spaces, and no escapes for what is not ASCII."""
    assert JSON.message({"op": "a", "b": [1, "ü"]}) == '{"op":"a","b":[1,"ü"]}'.encode()
    assert json.loads(JSON.frame(1, None, [])) == [1, None, 0, []]
