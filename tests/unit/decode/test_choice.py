"""Each message goes to the decoder that its beginning asks for."""

from __future__ import annotations

from sensord.decode.base import Writer
from sensord.decode.choice import NO_CHOICE, Choice, Config, Decoder
from tests.unit.decode.streams import config_faults

CHOICES = (
    Choice(starts="{", decoder="json"),
    Choice(starts_hex="B5 62", decoder="binary", options={"fields": {"a": {"at": 2, "unit": "V"}}}),
    Choice(starts="$", decoder="nmea0183"),
)


def test_messages_find_their_decoders() -> None:
    """Their metadata and counts with them."""
    decoder = Decoder(Config(choices=CHOICES))
    assert decoder.decode(b'{"t": 4}').samples[0].field == "t"
    assert decoder.decode(b"\xb5\x62\x07").samples[0].value == 7
    assert decoder.decode(b"$PUBX,00,1").samples == []
    assert decoder.passed_over == {"PUBX": 1}
    metadata = decoder.metadata("a")
    assert metadata is not None
    assert metadata.unit == "V"


def test_what_no_choice_begins_like_is_a_fault_unless_ignored() -> None:
    """A boot message is none."""
    assert Decoder(Config(choices=CHOICES)).decode(b"boot").faults[0].reason == NO_CHOICE
    assert Decoder(Config(choices=CHOICES, ignore_unknown=True)).decode(b"boot") == ([], [])


def test_faults_in_options_are_named() -> None:
    """A choice is checked like a decoder of its own."""
    table = {"choices": [{"decoder": "csv", "options": {"feilds": ["a"]}}, {"decoder": "jsn"}]}
    found = " ".join(config_faults(Config, table))
    assert "fields" in found
    assert 'there is no decoder "jsn"' in found


def test_a_text_keeps_its_form_behind_a_choice() -> None:
    """21.50 became 21.5 in a channel of texts where the decoder was taken for no writer."""
    decoder: object = Decoder(Config(choices=CHOICES))
    assert isinstance(decoder, Writer)
    decoder.keep_text()
    assert isinstance(decoder, Decoder)
    assert decoder.decode(b'{"t": 21.50}').samples[0].text == "21.50"
