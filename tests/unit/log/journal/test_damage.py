"""No flipped bit comes through as another content."""

from __future__ import annotations

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sensord.log.journal.ring import SLOT_BYTES, Flag, Head, encode_body, encode_frame, read_ring
from sensord.mcap.block import Block, make_block
from sensord.mcap.chunk import ChunkCodec, columns_of, index_at, pick_messages
from sensord.mcap.walk import walk
from tests.kit.journal import START_US, channels, walk_readings

OF = channels(3)
IDS = {channel: channel.number + 1 for channel in OF}


def some_block(count: int = 40, first: int = 1000) -> Block:
    records = walk_readings(count, first=first, of=OF)
    return make_block(records, [record.log_us for record in records], IDS)


CODEC = ChunkCodec()
CHUNK = CODEC.encode([some_block()])
RAW = CODEC.decode(CHUNK.entry, CHUNK.record)
BODY = encode_body(some_block(), zstandard.ZstdCompressor())
HEAD = Head(9, 1, 1000, 40, Flag.NONE, 1000, 2000, "00000000000000aa")
RING = bytes(SLOT_BYTES) + encode_frame(HEAD, BODY)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@given(st.integers(0, len(CHUNK.record) * 8 - 1))
def test_a_chunk_with_a_flipped_bit_is_refused_or_the_same(bit: int) -> None:
    """In its header a flip may be harmless: content and time table do not come from there."""
    try:
        raw = CODEC.decode(CHUNK.entry, flipped(CHUNK.record, bit))
    except ValueError:
        return
    assert raw == RAW


@given(st.integers(0, len(RING) * 8 - 1))
def test_a_frame_with_a_flipped_bit_is_refused_or_the_same(bit: int) -> None:
    """Padding is not part of it."""
    for frame in read_ring(flipped(RING, bit)):
        assert frame.head == HEAD
        assert frame.body in {None, BODY}


def test_a_frame_in_another_slot_is_none() -> None:
    """It is a copy: a file system's, or one in somebody's text."""
    assert read_ring(RING[SLOT_BYTES:] + bytes(SLOT_BYTES)) == []


@given(st.integers(0, len(CHUNK.indexes) * 8 - 1))
def test_an_index_with_a_flipped_bit_leads_nowhere_or_right(bit: int) -> None:
    """Every entry is checked against its message."""
    indexes, base = flipped(CHUNK.indexes, bit), len(CHUNK.record)
    columns = columns_of(RAW)
    for number, at in CHUNK.entry.channels():
        try:
            entries = index_at(indexes, at - base, number)
            found = pick_messages(RAW, [(number, *entry) for entry in entries])
        except ValueError:
            continue
        chosen = [i for i, other in enumerate(columns.channels) if other == number]
        assert list(found.sequences) == [columns.sequences[i] for i in chosen]
        assert list(found.texts) == [columns.texts[i] for i in chosen]


@given(st.data())
def test_a_walk_finds_every_chunk_but_the_damaged_one(data: st.DataObject) -> None:
    """Wherever the bit is: in a length, an opcode, an index, a channel."""
    file = _file()
    bit = data.draw(st.integers(0, len(file) * 8 - 1))
    found = walk(flipped(file, bit), 1000, CODEC)
    spans = [(each.located.first, each.located.end) for each in found.chunks]
    lost = [span for span in SPANS if span not in spans]
    assert not [span for span in spans if span not in SPANS]
    assert len(lost) <= 1
    if lost:
        position, end = PLACES[SPANS.index(lost[0])]
        assert position <= bit // 8 < end


@given(st.data())
def test_a_walk_of_a_cut_file_finds_the_whole_chunks(data: st.DataObject) -> None:
    """One that lost only its indexes is whole: they are made anew."""
    file = _file()
    cut = data.draw(st.integers(0, len(file)))
    found = walk(file[:cut], 1000, CODEC)
    whole = sum(end <= cut for _, end in PLACES)
    assert [each.located.first for each in found.chunks] == [span[0] for span in SPANS[:whole]]
    assert sum(each.located.count for each in found.chunks) == 40 * whole


SPANS = [(1000, 1040), (1040, 1080), (1080, 1120)]
PLACES: list[tuple[int, int]] = []


def _file() -> bytes:
    """Make a segment of three chunks as it is before it is sealed; notes where the chunks are."""
    from sensord.mcap import records as mcap  # noqa: PLC0415  # only for this
    from sensord.mcap.channels import definition, schema_record  # noqa: PLC0415

    data = mcap.MAGIC + mcap.header("test") + mcap.metadata("sensord", {"epoch": "x"})
    data += schema_record(OF[0].metadata.type)
    for channel in OF:
        data += mcap.channel(definition(IDS[channel], channel.topic, channel.metadata))
    PLACES.clear()
    for first, end in SPANS:
        chunk = CODEC.encode([some_block(end - first, first)])
        PLACES.append((len(data), len(data) + len(chunk.record)))
        data += chunk.record + chunk.indexes
    return data


def test_the_kit_makes_the_same_each_time() -> None:
    """Or the places would not fit."""
    assert _file() == _file()
    assert some_block().log_us[0] > START_US
