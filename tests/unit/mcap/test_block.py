"""Columns give back the readings they were made of, whatever the values are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.log.journal.ring import Flag, Head, decode_body, encode_body, encode_frame, read_ring
from sensord.mcap.block import Block, make_block
from sensord.mcap.chunk import ChunkCodec, columns_of
from sensord.mcap.payload import NOT_RECORDABLE, parse_inner
from sensord.model.readings import GOOD, Channel, Level, Metadata, Quality, Reading, Record, Value
from tests.kit.journal import Row, row

CHANNELS = [Channel(i, f"a/{i}", Metadata()) for i in range(5)]
IDS = {channel: channel.number + 1 for channel in CHANNELS}

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.sampled_from([-0.0, 0.0, 1e22, 5e-324, 1.7976931348623157e308, 2**63, -(2**64), 21.0]),
)
plain = st.one_of(st.none(), st.booleans(), numbers, st.text())
values: st.SearchStrategy[Value] = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6
)
qualities = st.one_of(
    st.just(GOOD),
    st.builds(Quality, st.sampled_from(Level), st.text()),
    st.just(Quality(Level.BAD)),
)
moments = st.integers(0, 2**62 // 1000)


@st.composite
def runs(draw: st.DrawFn, some: st.SearchStrategy[Value] = values) -> list[Record]:
    """Draw records with consecutive offsets and rising log times."""
    readings = draw(
        st.lists(st.builds(Reading, moments, some, qualities, st.booleans()), min_size=1)
    )
    first = draw(st.one_of(st.integers(0, 2**60), st.just(2**32 - 2)))
    logged = sorted(draw(st.lists(moments, min_size=len(readings), max_size=len(readings))))
    return [
        Record(first + i, logged[i], draw(st.sampled_from(CHANNELS)), reading)
        for i, reading in enumerate(readings)
    ]


def block_of(records: list[Record]) -> Block:
    return make_block(records, [record.log_us for record in records], IDS)


def rows_of(block: Block) -> list[Row]:
    parsed = parse_inner(block.texts.split(b"\n"))
    by_id = {number: channel for channel, number in IDS.items()}
    made = []
    for i in range(block.count):
        quality = parsed.qualities[i] if parsed.qualities else GOOD
        restates = parsed.restates[i] if parsed.restates else False
        reading = Reading(block.time_us[i], parsed.values[i], quality, restates)
        made.append(row(Record(block.first + i, block.log_us[i], by_id[block.ids[i]], reading)))
    return made


@given(runs())
def test_a_block_gives_back_its_records(records: list[Record]) -> None:
    """Bit by bit: -0.0, 1e22, large integers, any text, nested JSON."""
    assert rows_of(block_of(records)) == list(map(row, records))


@given(runs(plain))
def test_plain_values_take_the_fast_way_to_the_same_end(records: list[Record]) -> None:
    """Without lists and objects all values are encoded in one go."""
    assert rows_of(block_of(records)) == list(map(row, records))


@given(runs())
def test_a_frame_gives_back_its_block(records: list[Record]) -> None:
    """Through bytes and the scan of a ring."""
    import zstandard  # noqa: PLC0415  # only this test makes a compressor itself

    block = block_of(records)
    body = encode_body(block, zstandard.ZstdCompressor())
    head = Head(7, 0, block.first, block.count, Flag.DROPPED_FULL, 3, 2**63, "0123456789abcdef")
    (found,) = read_ring(encode_frame(head, body) + bytes(4096))
    assert found.head == head
    assert found.body is not None
    again = decode_body(found.body, found.head, ChunkCodec())
    assert rows_of(again) == rows_of(block)
    assert again.end == block.end


@given(runs(), st.data())
def test_a_chunk_gives_back_its_blocks(records: list[Record], data: st.DataObject) -> None:
    """However the records were cut into commits."""
    cut = data.draw(st.integers(0, len(records)))
    blocks = [block_of(part) for part in (records[:cut], records[cut:]) if part]
    codec = ChunkCodec()
    chunk = codec.encode(blocks)
    columns = columns_of(codec.decode(chunk.entry, chunk.record))
    assert chunk.entry.messages == len(records)
    assert list(columns.sequences) == [record.offset % 2**32 for record in records]
    assert list(columns.channels) == [IDS[record.channel] for record in records]
    assert list(columns.log_ns) == [record.log_us * 1000 for record in records]
    assert list(columns.publish_ns) == [record.reading.time_us * 1000 for record in records]
    parsed = columns.parse()
    assert list(map(repr, parsed.values)) == [repr(record.reading.value) for record in records]
    expected = [record.reading.quality for record in records]
    assert (parsed.qualities or [GOOD] * len(records)) == expected


@given(runs(), st.data())
def test_the_parts_of_a_block_are_the_block(records: list[Record], data: st.DataObject) -> None:
    """Halves, and what is left from an offset on."""
    block = block_of(records)
    if block.count > 1:
        one, two = block.split()
        assert rows_of(one) + rows_of(two) == rows_of(block)
        assert one.end == two.first
    offset = data.draw(st.integers(block.first, block.end - 1))
    assert rows_of(block.since(offset)) == rows_of(block)[offset - block.first :]


@given(st.sampled_from([float("nan"), float("inf"), {1, 2}, object(), [float("-inf")], b"x"]))
def test_what_json_cannot_hold_is_recorded_as_bad(value: object) -> None:
    """And costs the readings around it nothing."""
    records = [
        Record(0, 5, CHANNELS[0], Reading(1, 1.5)),
        Record(1, 6, CHANNELS[1], Reading(2, value)),  # type: ignore[arg-type]  # on purpose
        Record(2, 7, CHANNELS[2], Reading(3, "x")),
    ]
    found = rows_of(block_of(records))
    assert [each.value for each in found] == ["1.5", "None", "'x'"]
    assert [each.quality for each in found] == [GOOD, Quality(Level.BAD, NOT_RECORDABLE), GOOD]


def test_times_that_mcap_cannot_hold_are_bounded() -> None:
    """A device may send any source time."""
    times = [-5, 2**80, 7]
    records = [Record(i, 9, CHANNELS[0], Reading(t, i)) for i, t in enumerate(times)]
    assert [each.time_us for each in rows_of(block_of(records))] == [0, (2**64 - 1) // 1000, 7]
