"""Blocks of lines under one checksum: all or nothing, and one fault for a bad one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.checksums import checksum
from sensord.decode.framing.blocks import TOO_LONG, BlockFramer, Config, Drop
from sensord.decode.framing.line_checksum import WRONG, TextChecksum
from tests.unit.decode.streams import config_faults, cut_points, feed_in_pieces, pieces

P1 = Config(start="/", end="!", checksum=TextChecksum(type="crc16_arc"), max_bytes=400)
VE = Config(
    end="Checksum\t",
    checksum=TextChecksum(type="sum8_twos", form="raw"),
    drop=Drop(":"),
    max_bytes=400,
)
PLAIN = Config(start="<", end=">", max_bytes=64)


def p1(*lines: str) -> bytes:
    body = "/XMX5\r\n\r\n" + "".join(f"{line}\r\n" for line in lines) + "!"
    return body.encode() + b"%04X\r\n" % checksum("crc16_arc").of(body.encode())


def ve(*pairs: tuple[str, object]) -> bytes:
    body = b"".join(f"\r\n{key}\t{value}".encode() for key, value in pairs) + b"\r\nChecksum\t"
    return body + bytes([-sum(body) & 0xFF])


def framed(config: Config, data: bytes) -> tuple[list[bytes], list[str]]:
    found = BlockFramer(config).feed(data)
    return found.messages, [fault.reason for fault in found.faults]


GOOD = p1("1-0:1.8.1(001234.567*kWh)", "1-0:1.7.0(00.383*kW)")
LINES = [b"/XMX5", b"1-0:1.8.1(001234.567*kWh)", b"1-0:1.7.0(00.383*kW)"]


def test_a_good_block_gives_its_lines() -> None:
    """Without the end and blank lines."""
    assert framed(P1, GOOD + GOOD) == (LINES * 2, [])


def test_a_flipped_digit_costs_the_whole_block_and_is_one_fault() -> None:
    """The next one is used."""
    assert framed(P1, GOOD.replace(b"1234", b"9234") + GOOD) == (LINES, [WRONG])


def test_a_block_whose_end_was_lost_does_not_take_the_next_one_with_it() -> None:
    """The search continues one byte further."""
    assert framed(P1, GOOD[:30] + GOOD + GOOD) == (LINES * 2, [WRONG])


def test_a_block_that_never_ends_is_given_up() -> None:
    """And the next one is found."""
    messages, faults = framed(P1, b"/" + b"x" * 1000 + GOOD)
    assert (messages, faults) == (LINES, [TOO_LONG])


def test_without_a_start_a_block_begins_behind_the_one_before() -> None:
    """The first one is a fragment, and no fault."""
    first, second = ve(("V", 12800), ("I", -300)), ve(("V", 12810))
    assert framed(VE, first[5:] + second + first) == (
        [b"V\t12810", b"V\t12800", b"I\t-300"],
        [],
    )
    assert framed(VE, first + second.replace(b"12810", b"92810") + first)[1] == [WRONG]


def test_records_that_other_programs_ask_for_are_dropped_wherever_they_stand() -> None:
    """But a raw checksum may be any byte, also one that begins a record."""
    block = ve(("V", 12800), ("I", -300))
    at = block.index(b"\r\nI")
    with_record = block[:at] + b":A0002000148\n" + block[at:]
    assert framed(VE, block + with_record) == ([b"V\t12800", b"I\t-300"] * 2, [])
    for letter in map(chr, range(33, 127)):
        one = ve(("SER#", letter))
        if one.endswith(b":"):
            assert framed(VE, block + one + block)[0] == [
                b"V\t12800",
                b"I\t-300",
                b"SER#\t" + letter.encode(),
                b"V\t12800",
                b"I\t-300",
            ]
            return
    pytest.fail("no serial number has a colon as its checksum")


def test_without_a_checksum_the_last_start_counts() -> None:
    """An earlier one began a block that broke off."""
    assert framed(PLAIN, b"<a\nb><c<d\ne>")[0] == [b"<a", b"b>", b"<d", b"e>"]


PARTS = st.one_of(
    st.just(GOOD),
    st.just(GOOD[:40]),
    st.just(ve(("V", 12800))),
    st.just(b":7F0ED\n"),
    st.just(b"<a\nb>"),
    st.binary(max_size=20),
    st.just(b"/" * 500),
)


@pytest.mark.parametrize("config", [P1, VE, PLAIN])
@given(parts=st.lists(PARTS, max_size=12), points=cut_points)
def test_any_cut_of_the_stream_gives_the_same(
    config: Config, parts: list[bytes], points: list[int]
) -> None:
    """Whatever lies between and inside the blocks."""
    stream = b"".join(parts)
    whole = feed_in_pieces(BlockFramer(config), iter([stream]))
    assert feed_in_pieces(BlockFramer(config), pieces(stream, points)) == whole


def test_a_megabyte_of_starts_is_bounded() -> None:
    """Each byte is looked at once."""
    framer = BlockFramer(P1)
    faults = sum(len(framer.feed(b"/" * 16_384).faults) for _ in range(64))
    assert faults <= 64 * 16_384 // P1.max_bytes + 1
    assert framer.feed(GOOD * 2).messages[-3:] == LINES


def test_a_whole_block_is_one_message_without_a_separator() -> None:
    """For decoders that read telegrams."""
    config = Config(start="/", end="!", checksum=TextChecksum(type="crc16_arc"), separator="")
    assert framed(config, GOOD)[0] == [GOOD[: GOOD.index(b"!") + 1]]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "end: is missing"),
        ({"end": ""}, "end: may not be empty"),
        ({"end": "!"}, "start: is needed without a checksum"),
        (
            {"end": "!", "checksum": {"type": "sum8", "before": "*"}},
            "checksum: a block's checksum covers all of it",
        ),
        (
            {"end": "!", "checksum": {"type": "sum8", "form": "decimal", "before": "*"}},
            "checksum: a block's checksum is hexadecimal or raw",
        ),
        ({"end": "!", "start": "\u1234"}, "start: each character stands for one byte"),
        ({"end": "!", "start": "/", "drop": {"start": ""}}, "drop.start: needs a start"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    table: dict[str, object], fault: str
) -> None:
    """With what to do."""
    assert any(one.startswith(fault) for one in config_faults(Config, table))


def test_a_reset_forgets_what_is_held() -> None:
    """The stream was interrupted."""
    framer = BlockFramer(P1)
    framer.feed(GOOD[:20])
    framer.reset()
    assert framer.feed(GOOD).messages == LINES
