"""AIS messages: published ones, in parts, and broken."""

from __future__ import annotations

import random

from sensord.decode.ais import BROKEN, Config, Decoder
from sensord.decode.nmea0183.decoder import BAD_CHECKSUM, checksum


def values(*lines: bytes) -> dict[str, object]:
    """Return what a decoder makes of lines, which are no faults."""
    decoder = Decoder(Config())
    found: dict[str, object] = {}
    for line in lines:
        samples, faults = decoder.decode(line)
        assert faults == []
        found |= {one.field: one.value for one in samples}
    return found


def sentence(payload: str, padding: int = 0, parts: str = "1,1,") -> bytes:
    """Return a sentence with its checksum."""
    body = f"AIVDM,{parts},A,{payload},{padding}".encode()
    return b"!" + body + b"*" + checksum(body)


ONE = b"!AIVDM,2,1,1,A,55?MbV02;H;s<HtKR20EHE:0@T4@Dn2222222216L961O5Gf0NSQEp6ClRp8,0*1C"
TWO = b"!AIVDM,2,2,1,A,88888888880,2*25"
CLASS_B = b"!AIVDM,1,1,,A,B52K>;h00Fc>jpUlNV@ikwpUoP06,0*4C"


def test_static_reports_come_in_two_parts() -> None:
    """The name in one message, type and call sign in another."""
    assert values(sentence("H42O55i18tMET00000000000000", 2)) == {
        "mmsi": "271041815",
        "type": 24,
        "name": "PROGUY",
    }
    second = values(sentence("H42O55lt0000000D3nink000?0500", 0))
    assert (second["mmsi"], second["ship_type"], second["call_sign"]) == ("271041815", 60, "TC6163")


def test_class_b_has_a_position_and_says_nothing_of_what_it_lacks() -> None:
    """A heading of 511 is none."""
    found = values(CLASS_B)
    assert found["speed_over_ground"] == 0.1
    assert abs(float(str(found["longitude"])) + 74.072132) < 1e-6
    assert "heading_true" not in found


def test_parts_belong_together_only_in_their_order() -> None:
    """A second part whose first one was lost says nothing."""
    assert values(ONE, CLASS_B, TWO)["name"] == "EVER DIADEM"
    assert values(TWO) == {}
    assert "name" not in values(TWO, ONE)
    decoder = Decoder(Config())
    for number in range(1000):
        decoder.decode(sentence("55?MbV02", 0, f"2,1,{number}"))
    assert len(decoder._pending) <= 16


def test_what_is_not_for_us_is_counted() -> None:
    """Other types and other sentences are no faults."""
    decoder = Decoder(Config())
    assert decoder.decode(sentence("8" + "0" * 30)) == ([], [])
    assert decoder.decode(b"$GPGLL,A*" + checksum(b"GPGLL,A")).faults == []
    assert list(decoder.passed_over) == ["type 8", "GPGLL"]


def test_no_sentence_breaks_it() -> None:
    """A wrong checksum is one; a right one around nonsense is a broken message at most."""
    chance = random.Random(7)
    assert Decoder(Config()).decode(ONE.replace(b"55?", b"56?")).faults[0].reason == BAD_CHECKSUM
    assert Decoder(Config()).decode(sentence("1")).faults[0].reason == BROKEN
    decoder = Decoder(Config())
    for _ in range(5000):
        length = chance.randrange(1, 70)
        payload = "".join(chr(chance.randrange(0x30, 0x78)) for _ in range(length))
        decoder.decode(sentence(payload, chance.randrange(8), f"{chance.randrange(10)},1,2"))
