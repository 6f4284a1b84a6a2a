"""Messages of any plain form."""

from __future__ import annotations

import pytest

from sensord.decode.any_value import BAD_ENCODING, UNPRINTABLE, Config, Decoder
from sensord.decode.base import Sample
from sensord.decode.json_paths import NOT_JSON


@pytest.mark.parametrize(
    ("message", "samples"),
    [
        (b"21.5", [Sample("value", 21.5)]),
        (b" heating\n", [Sample("value", "heating")]),
        (b"true", [Sample("value", True)]),
        (b'"\xc2\xb0C"', [Sample("value", "°C")]),
        (b'"21.5"', [Sample("value", 21.5)]),
        (b'{"a": {"b": 1}}', [Sample("a/b", 1)]),
        (b"[1, 2]", [Sample("0", 1), Sample("1", 2)]),
        (b"", []),
        (b"null", []),
        (b'""', []),
        (b"2019-01-01", [Sample("value", "2019-01-01")]),
    ],
)
def test_a_message_is_what_it_looks_like(message: bytes, samples: list[Sample]) -> None:
    """JSON, else a number, else a word."""
    assert Decoder(Config()).decode(message) == (samples, [])


def test_faults_are_those_of_the_form_that_it_has() -> None:
    """A text that begins like JSON is to be JSON."""
    decoder = Decoder(Config(field="x"))
    assert [one.reason for one in decoder.decode(b'{"a": ').faults] == [NOT_JSON]
    assert [one.reason for one in decoder.decode(b"\xff\xfe").faults] == [BAD_ENCODING]
    assert [one.reason for one in decoder.decode(b"a\x01b").faults] == [UNPRINTABLE]
    assert decoder.decode(b"false").samples == [Sample("x", False)]
