"""SLIP and COBS: what was packed comes out as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.checksums import checksum
from sensord.decode.framing.frames import FrameChecksum
from sensord.decode.framing.line_checksum import WRONG
from sensord.decode.framing.packed import BAD_STUFFING, TOO_LONG, Config, PacketFramer
from tests.unit.decode.streams import cut_points, feed_in_pieces, pieces


def slip(data: bytes) -> bytes:
    return data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def cobs(data: bytes) -> bytes:
    out = bytearray()
    for part in data.split(b"\0"):
        while len(part) >= 254:
            out += b"\xff" + part[:254]
            part = part[254:]  # noqa: PLW2901  # the rest of it
        out += bytes([len(part) + 1]) + part
    return bytes(out) + b"\0"


PACK = {"slip": slip, "cobs": cobs}


@pytest.mark.parametrize("kind", PACK)
@given(packets=st.lists(st.binary(min_size=1, max_size=600), max_size=6), points=cut_points)
def test_packets_come_out_as_they_were_packed(
    kind: str, packets: list[bytes], points: list[int]
) -> None:
    """However the stream was cut."""
    stream = b"".join(PACK[kind](one) for one in packets)
    framer = PacketFramer(Config(type=kind))  # type: ignore[arg-type]  # one of the two
    messages, faults = feed_in_pieces(framer, pieces(stream, points))
    # A run of exactly 254 bytes at the end may or may not have an empty block behind it.
    assert (messages, faults) == (packets, [])


@pytest.mark.parametrize("kind", PACK)
@given(stream=st.binary(max_size=300), points=cut_points)
def test_any_bytes_in_any_cut_give_the_same_and_raise_nothing(
    kind: str, stream: bytes, points: list[int]
) -> None:
    """Faults included."""
    config = Config(type=kind, max_bytes=20)  # type: ignore[arg-type]  # one of the two
    whole = feed_in_pieces(PacketFramer(config), iter([stream]))
    assert feed_in_pieces(PacketFramer(config), pieces(stream, points)) == whole


def test_a_checksum_is_that_of_the_unpacked_packet() -> None:
    """A wrong one is a fault."""
    check = FrameChecksum(type="crc16_kermit", byte_order="little")
    config = Config(type="slip", checksum=check)
    data = b"\xc0\x01\xdb"
    whole = data + checksum("crc16_kermit").of(data).to_bytes(2, "little")
    framer = PacketFramer(config)
    assert framer.feed(slip(whole)).messages == [whole]
    assert [one.reason for one in framer.feed(slip(b"x" + whole)).faults] == [WRONG]


def test_bad_packets_are_faults() -> None:
    """The next one is used."""
    framer = PacketFramer(Config(type="slip", max_bytes=4))
    found = framer.feed(b"\xdb\x01\xc0" + b"x" * 9 + b"\xc0ok\xc0")
    assert (found.messages, [one.reason for one in found.faults]) == (
        [b"ok"],
        [BAD_STUFFING, TOO_LONG],
    )
    assert PacketFramer(Config(type="cobs")).feed(b"\x05a\0").faults[0].reason == BAD_STUFFING
    framer.feed(b"ab")
    framer.reset()
    assert framer.feed(b"cd\xc0").messages == [b"cd"]


def test_hdlc_is_unstuffed_and_checked() -> None:
    """The answer of an SPS30, whose data hold both marks."""
    body = bytes.fromhex("00 03 00 02 7E 7D")
    body += bytes([~sum(body) & 0xFF])
    stuffed = body.replace(b"\x7d", b"\x7d\x5d").replace(b"\x7e", b"\x7d\x5e")
    config = Config(type="hdlc", checksum=FrameChecksum(type="sum8_inverted"))
    framed = PacketFramer(config).feed(b"\x7e" + stuffed + b"\x7e\x7e\x01\x7d\x7e")
    assert framed.messages == [body]
    assert [one.reason for one in framed.faults] == [BAD_STUFFING]
