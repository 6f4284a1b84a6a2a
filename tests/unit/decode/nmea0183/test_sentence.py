"""How the fields of a sentence become samples."""

from __future__ import annotations

import pytest

from sensord.decode.base import Sample
from sensord.decode.nmea0183 import Config, Decoder
from sensord.decode.nmea0183.sentence import Memory, Sentence
from sensord.model.readings import GOOD
from tests.unit.decode.nmea0183.sealing import values


def reading(*fields: str, prefix: str = "") -> Sentence:
    """Return a sentence with these fields."""
    return Sentence("GP", ["GPXXX", *fields], prefix, Memory(collects_satellites=False))


def test_a_field_that_is_not_there_is_empty() -> None:
    """Older versions of a sentence are shorter."""
    one = reading("12", "")
    assert len(one) == 2
    assert (one.text(1), one.text(2), one.text(3)) == ("12", "", "")
    assert (one.whole(1), one.whole(2), one.amount(3)) == (12, None, None)
    assert not one.is_faulty


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "\u0663"])
def test_what_is_no_count_is_a_fault(text: str) -> None:
    """Signs, fractions and other scripts' digits included."""
    one = reading(text)
    one.count(1, "fix_mode")
    assert (one.samples, one.is_faulty) == ([], True)


def test_a_letter_may_be_missing_but_not_another() -> None:
    """Another one means another quantity."""
    one = reading("1.5", "M", "2.5", "", "3.5", "f")
    one.measure(1, "M", "altitude")
    one.measure(3, "M", "altitude")
    assert not one.is_faulty
    one.measure(5, "M", "altitude")
    assert one.samples == [Sample("altitude", 1.5), Sample("altitude", 2.5)]
    assert one.is_faulty


def test_the_prefix_leads_every_field() -> None:
    """Where the talker is part of the name."""
    one = reading("1.5", prefix="gp/")
    one.number(1, "hdop")
    assert one.samples == [Sample("gp/hdop", 1.5)]


def test_half_a_position_is_used() -> None:
    """The other half is the fault."""
    one = reading("4807.038", "N", "18100.000", "E")
    one.position(1, GOOD)
    assert [sample.field for sample in one.samples] == ["latitude"]
    assert one.is_faulty


def test_a_speed_keeps_the_unit_of_the_device() -> None:
    """Its metadata says which, once the device has spoken."""
    decoder = Decoder(Config())
    before = decoder.metadata("wind_speed_true")
    assert before is not None
    assert before.unit == "[kn_i]"
    assert values("WIMWV,39,T,1.3,M,A", decoder)["wind_speed_true"] == 1.3
    after = decoder.metadata("wind_speed_true")
    assert after is not None
    assert after.unit == "m/s"
    assert after.description == before.description


def test_of_two_units_the_one_known_is_taken() -> None:
    """No value is converted that the device sends in the right unit."""
    decoder = Decoder(Config())
    values("WIMWV,39,T,1.3,M,A", decoder)
    assert values("WIMWD,,,,,8.16,N,4.20,M", decoder)["wind_speed_true"] == 4.2


def test_a_speed_in_another_unit_is_converted() -> None:
    """A field has one unit only."""
    decoder = Decoder(Config())
    values("WIMWV,39,T,1.3,M,A", decoder)
    assert values("WIMWV,39,T,10.0,N,A", decoder)["wind_speed_true"] == 5.1444
    assert values("WIMWV,39,T,36.0,K,A", decoder)["wind_speed_true"] == 10.0
