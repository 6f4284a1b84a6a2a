"""SML files are cut by their escapes and CRC, however a stream is cut and damaged."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.checksums import checksum
from sensord.decode.framing.sml_transport import BAD_ESCAPE, Config, SmlFramer
from tests.unit.decode.streams import cut_points, feed_in_pieces, pieces

ESCAPE = b"\x1b" * 4


def file_of(body: bytes) -> bytes:
    """Return a body as a meter sends it."""
    padding = -len(body) % 4
    inner = (body + bytes(padding)).replace(ESCAPE, 2 * ESCAPE)
    whole = ESCAPE + b"\x01" * 4 + inner + ESCAPE + bytes([0x1A, padding])
    return whole + checksum("crc16_x25").of(whole).to_bytes(2, "little")


def test_the_published_examples_are_read() -> None:
    """Two small ones of another reader's tests, one with an escape in its data."""
    stream = bytes.fromhex(
        "1b1b1b1b 01010101 12345600 1b1b1b1b 1a0191a5"
        "1b1b1b1b 01010101 12 1b1b1b1b 1b1b1b1b 000000 1b1b1b1b 1a03be25"
    )
    framed = SmlFramer(Config()).feed(stream)
    assert framed.messages == [bytes.fromhex("123456"), bytes.fromhex("121b1b1b1b")]
    assert framed.faults == []


bodies = st.lists(st.sampled_from([b"\x1b", b"\x1a", b"\x01", b"\x00", b"v"]), max_size=40)


@given(st.lists(bodies.map(b"".join), min_size=1, max_size=4), cut_points)
def test_every_body_survives_its_escapes(parts: list[bytes], points: list[int]) -> None:
    """Also those of nothing but escape bytes, in any cut."""
    stream = b"".join(file_of(body) for body in parts)
    messages, faults = feed_in_pieces(SmlFramer(Config()), pieces(stream, points))
    assert messages == parts
    assert faults == []


def test_a_damaged_file_does_not_cost_the_next_one() -> None:
    """Whatever byte is changed, lost or doubled: the good file behind it is found."""
    chance = random.Random(5)
    good = file_of(b"good" * 20)
    for _ in range(2000):
        bad = bytearray(file_of(chance.randbytes(60)))
        at = chance.randrange(len(bad))
        match chance.randrange(3):
            case 0:
                bad[at] ^= chance.randrange(1, 256)
            case 1:
                del bad[at:]
            case _:
                bad.insert(at, chance.randrange(256))
        framed = SmlFramer(Config()).feed(bytes(bad) + good)
        assert framed.messages[-1:] == [b"good" * 20]


def test_an_unknown_escape_is_a_fault() -> None:
    """It is neither data nor an end."""
    framed = SmlFramer(Config()).feed(ESCAPE + b"\x01" * 4 + b"abcd" + ESCAPE + b"\x05\0\0\0" * 2)
    assert [one.reason for one in framed.faults] == [BAD_ESCAPE]
