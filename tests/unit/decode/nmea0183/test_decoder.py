"""Which sentences are found in a line, and which of them are trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Fault, Sample
from sensord.decode.framing.lines import Config as Framing
from sensord.decode.framing.lines import LineFramer
from sensord.decode.nmea0183 import Config, Decoder
from sensord.decode.nmea0183.decoder import (
    BAD_ADDRESS,
    BAD_CHECKSUM,
    CUT_SHORT,
    MAX_PASSED_OVER,
    MAX_PROVEN,
    MAX_SENTENCES,
    NO_CHECKSUM,
    NO_SENTENCE,
    TOO_FEW_FIELDS,
    TOO_LONG,
    TOO_MANY_SENTENCES,
    checksum,
)
from tests.unit.decode.nmea0183.sealing import sealed, values
from tests.unit.decode.streams import config_faults, cut_points, feed_in_pieces, pieces

TEMPERATURE = [Sample("water_temperature", 17.9)]
DEPTH = [Sample("depth_below_transducer", 2.3), Sample("transducer_offset", 0.0)]
MTW = b"$INMTW,17.9,C*1B"
DPT = b"$INDPT,2.3,0.0*46"
SENTENCES = [
    MTW,
    DPT,
    b"$GPRMC,022021.00,A,3644.759368,S,17444.072860,E,0.0,301.9,071020,18.3,E,A,V*6E",
    b"$GPGGA,022021.00,3644.759368,S,17444.072860,E,1,07,1.1,56.1,M,37.0,M,,*49",
    b"$GPGSV,3,1,11,03,03,074,38,06,15,348,36,07,18,022,52,11,13,133,36,1*69",
    b"$IIXDR,C,19.5,C,AIR*07",
    b"$IIHDT,,T*0C",
    b"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D",
    b"$PGRME,9.1,M,15.0,M,12.0,M*21",
    b"$GPBOD,,T,,M,,*47",
]


def test_the_samples_above_carry_right_checksums() -> None:
    """So that the tests below try what they mean to."""
    for sentence in SENTENCES:
        text, _, digits = sentence[1:].partition(b"*")
        assert checksum(text) == digits


@given(st.binary(max_size=600))
def test_the_checksum_is_the_xor_of_all_bytes(text: bytes) -> None:
    """As the plain loop reckons it."""
    total = 0
    for byte in text:
        total ^= byte
    assert checksum(text) == b"%02X" % total


@pytest.mark.parametrize("line", [MTW, b"$INMTW,17.9,C*1b", b"$INMTW,17.9,C", MTW + b"\x00"])
def test_a_sentence_is_decoded(line: bytes) -> None:
    """With a checksum in either case, or without one if it never had one."""
    assert Decoder(Config()).decode(line) == (TEMPERATURE, [])


@pytest.mark.parametrize("line", [b"$INMTW,18.9,C*1B", b"$INMTW,17.9,C*1", b"$INMTW,17.9,C*"])
def test_a_wrong_checksum_is_a_fault(line: bytes) -> None:
    """Also one that was cut."""
    assert Decoder(Config()).decode(line) == ([], [Fault(BAD_CHECKSUM, line)])


def test_a_missing_checksum_is_a_fault_where_required() -> None:
    """The configuration knows that the device sends it."""
    line = b"$INMTW,17.9,C"
    decoder = Decoder(Config(checksum="required"))
    assert decoder.decode(line) == ([], [Fault(NO_CHECKSUM, line)])


def test_a_sentence_that_had_a_checksum_needs_it_from_then_on() -> None:
    """Without it its end was lost; other sentences are not concerned."""
    decoder = Decoder(Config())
    assert decoder.decode(MTW) == (TEMPERATURE, [])
    cut = b"$INMTW,17.9,C"
    assert decoder.decode(cut) == ([], [Fault(NO_CHECKSUM, cut)])
    assert decoder.decode(b"$INDPT,2.3,0.0") == (DEPTH, [])


def test_remembered_addresses_are_bounded() -> None:
    """A device that makes up talkers does not fill the memory."""
    decoder = Decoder(Config())
    for i in range(MAX_PROVEN + 5):
        values(f"{chr(65 + i // 26 % 26)}{chr(65 + i % 26)}MTW,{i},C", decoder)
    assert len(decoder._proven) == MAX_PROVEN


@pytest.mark.parametrize(
    "line",
    [
        b"1689000000.5 " + MTW,
        b"\\s:r3,c:1689000000*5A\\" + MTW,
        b"7.9,C*1B" + MTW,
        b"\x00\xff" + MTW,
    ],
)
def test_what_stands_before_the_start_is_passed_over(line: bytes) -> None:
    """A logger's time, a tag block, the rest of a line, noise."""
    assert Decoder(Config()).decode(line) == (TEMPERATURE, [])


def test_two_whole_sentences_in_one_line_are_both_used() -> None:
    """Only the line end between them was lost."""
    assert Decoder(Config()).decode(DPT + MTW) == ([*DEPTH, *TEMPERATURE], [])


def test_a_sentence_that_the_next_cuts_short_is_a_fault() -> None:
    """The next one is used."""
    assert Decoder(Config()).decode(b"$INDPT,2." + MTW) == (
        TEMPERATURE,
        [Fault(CUT_SHORT, b"$INDPT,2.")],
    )


def test_a_start_inside_a_whole_sentence_does_not_cut_it() -> None:
    """The checksum proves that it belongs there."""
    assert Decoder(Config()).decode(sealed("GPTXT,01,01,02,$ Hello!")) == ([], [])


@pytest.mark.parametrize("line", [b"", b"INMTW,17.9,C*1B", b"garbage"])
def test_a_line_without_a_sentence_is_a_fault(line: bytes) -> None:
    """Nothing in it begins one."""
    assert Decoder(Config()).decode(line) == ([], [Fault(NO_SENTENCE, line)])


@pytest.mark.parametrize(
    "body", ["", "GPGG,1", "gphdt,1.0,T", "GPHD\xe9,1", ",,", "P", "GPHDTX,1,T"]
)
def test_a_bad_address_is_a_fault(body: str) -> None:
    """Five capitals or digits, or a maker's own after P."""
    line = sealed(body)
    found = Decoder(Config()).decode(line)
    assert found == ([], [Fault(BAD_ADDRESS, line.partition(b"*")[0])])


@pytest.mark.parametrize(
    "line",
    [
        *SENTENCES[-3:],
        sealed("GPHDT,1.0,T", start="!"),
        sealed("PXHDT,1.0,T"),
        sealed("GPXYZ,1"),
    ],
)
def test_what_is_meant_for_others_is_no_fault(line: bytes) -> None:
    """AIS, proprietary and unknown sentences give no samples."""
    assert Decoder(Config()).decode(line) == ([], [])


def test_too_few_fields_are_a_fault() -> None:
    """Fewer than the oldest version of the sentence had."""
    line = b"$GPGGA,123519,4807.038,N,0113"
    assert Decoder(Config()).decode(line) == ([], [Fault(TOO_FEW_FIELDS, line)])


def test_a_sentence_without_an_end_is_a_fault() -> None:
    """Of any length, and whatever numbers it is made of."""
    line = b"$GPGSV," + b"9" * 5000
    assert Decoder(Config()).decode(line) == ([], [Fault(TOO_LONG, line[:80])])


def test_a_line_of_starts_is_a_bounded_fault() -> None:
    """Noise does not become a flood of faults."""
    samples, faults = Decoder(Config()).decode(b"$" * 10_000)
    assert samples == []
    assert len(faults) == MAX_SENTENCES + 1
    assert faults[-1].reason == TOO_MANY_SENTENCES


def test_sentences_can_be_ignored() -> None:
    """By formatter, or only from one talker."""
    decoder = Decoder(Config(ignore=("DPT", "INMTW")))
    assert decoder.decode(DPT) == ([], [])
    assert decoder.decode(MTW) == ([], [])
    assert values("IIMTW,17.9,C", decoder) == {"water_temperature": 17.9}


def test_the_talker_can_lead_each_field() -> None:
    """Two devices that tell the same thing are kept apart."""
    decoder = Decoder(Config(talker_levels=True))
    assert values("GPGSV,1,1,05", decoder) == {"gp/satellites_in_view/gps": 5}
    assert values("IIMWV,39,T,1.3,M,A", decoder).keys() == {
        "ii/wind_angle_true",
        "ii/wind_speed_true",
    }
    metadata = decoder.metadata("ii/wind_speed_true")
    assert metadata is not None
    assert metadata.unit == "m/s"
    assert decoder.metadata("gp/satellites_in_view/gps") is not None


def test_an_unknown_field_has_no_metadata() -> None:
    """Nothing is made up."""
    assert Decoder(Config()).metadata("temperature") is None


@given(
    st.sampled_from(SENTENCES),
    st.integers(0, 200),
    st.integers(0, 255),
    st.sampled_from(["if_present", "required"]),
)
def test_a_changed_byte_never_gives_a_value(
    sentence: bytes, place: int, byte: int, mode: str
) -> None:
    """Unless it was the case of a checksum's digit, the sentence is a fault or passed over."""
    decoder = Decoder(Config(checksum="required" if mode == "required" else "if_present"))
    decoder.decode(sentence)
    place %= len(sentence)
    changed = sentence[:place] + bytes([byte]) + sentence[place + 1 :]
    if changed.partition(b"*")[0] == sentence.partition(b"*")[0] and (
        changed.upper() == sentence.upper()
    ):
        return
    samples, faults = decoder.decode(changed)
    assert samples == []
    # Another start or address makes a whole sentence of another kind.
    assert faults or changed[:6] != sentence[:6]


@given(st.binary(max_size=300) | st.text("$!*,.0123456789ABNEGPRMC", max_size=300).map(str.encode))
def test_no_line_raises(line: bytes) -> None:
    """Whatever the bytes, there are samples, faults or nothing meant for us."""
    decoder = Decoder(Config(satellites=True))
    decoder.decode(line)
    decoder.decode(sealed(line.decode("latin-1")))


@given(
    st.lists(st.sampled_from(SENTENCES), max_size=12),
    st.lists(st.binary(max_size=20), max_size=4),
    cut_points,
)
def test_any_cut_of_the_stream_gives_the_same_samples(
    sentences: list[bytes], noise: list[bytes], points: list[int]
) -> None:
    """Framed and decoded, only the bytes count; noise between lines spares every sentence."""
    data = b"".join(part + b"\r\n" for part in [*noise, *sentences])

    def decoded(points: list[int]) -> list[object]:
        decoder = Decoder(Config(satellites=True))
        messages, faults = feed_in_pieces(LineFramer(Framing()), pieces(data, points))
        return [*faults, *(decoder.decode(message) for message in messages)]

    whole = decoded([])
    assert decoded(points) == whole
    plain = Decoder(Config(satellites=True))
    expected: list[object] = [plain.decode(sentence) for sentence in sentences]
    assert whole[len(whole) - len(expected) :] == expected


@pytest.mark.parametrize("name", ["XYZ", "gll", "GPXYZ"])
def test_a_sentence_that_is_not_known_cannot_be_ignored(name: str) -> None:
    """It is mostly a slip."""
    (fault,) = config_faults(Config, {"ignore": [name]})
    assert fault == f'ignore: "{name}" is neither a sentence known here nor one with its talker'


def test_usable_options_are_accepted() -> None:
    """Formatters and whole addresses."""
    table = {"ignore": ["GLL", "IIVTG"], "checksum": "required", "satellites": True}
    assert config_faults(Config, table) == []


def test_what_is_not_known_is_counted_by_name() -> None:
    """It is meant for others, but it must not vanish without a word."""
    decoder = Decoder(Config(ignore=("IIVTG",)))
    for body in ("GPBOD,,T", "GPBOD,,T", "PGRMZ,246,f,3", "IIVTG,1,T"):
        decoder.decode(sealed(body))
    decoder.decode(sealed("AIVDM,1,1,,A,x,0", "!"))
    decoder.decode(b"$GPBOD,noise*00")
    assert decoder.passed_over == {"GPBOD": 2, "PGRMZ": 1, "AIVDM": 1}


def test_what_is_counted_is_bounded() -> None:
    """Noise makes up addresses."""
    decoder = Decoder(Config())
    for i in range(MAX_PASSED_OVER + 10):
        decoder.decode(sealed(f"GP{i:03d}"))
    assert len(decoder.passed_over) == MAX_PASSED_OVER


@given(st.sampled_from(SENTENCES), st.data())
def test_a_sentence_with_one_byte_changed_is_not_used(sentence: bytes, data: st.DataObject) -> None:
    """Its checksum is configured by its having come before."""
    decoder = Decoder(Config(satellites=True))
    right = decoder.decode(sentence)
    at = data.draw(st.integers(0, len(sentence) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != sentence[at]))
    changed = sentence[:at] + bytes([other]) + sentence[at + 1 :]
    samples, _ = decoder.decode(changed)
    # A hexadecimal digit in the other case is the same checksum.
    assert samples == [] or (changed.upper() == sentence.upper() and samples == right.samples)
