"""A message describes its channel, so that a reader may begin anywhere in the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import Kind, Metadata, ValueType
from sensord.uplinks.channel_header import description_of, metadata_of

METADATA = st.builds(
    Metadata,
    type=st.sampled_from(ValueType),
    unit=st.text(max_size=5),
    decimals=st.none() | st.integers(0, 300),
    kind=st.sampled_from(Kind),
    description=st.text(max_size=20),
    device=st.text(max_size=20),
)


@given(METADATA)
def test_what_is_written_is_read_again(metadata: Metadata) -> None:
    """In ASCII without line ends, as a header must be."""
    text = description_of(metadata)
    assert text.isascii()
    assert text.isprintable()
    assert metadata_of(text, metadata.unit) == metadata


def test_a_plain_channel_costs_no_byte() -> None:
    """Its unit is in the message."""
    assert description_of(Metadata(unit="Cel")) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "not a map"),
        ("{", "Expecting"),
        ('{"type":"no"}', "not a valid ValueType"),
        ('{"kind":"no"}', "not a valid Kind"),
        ('{"decimals":-1}', "decimals"),
        ('{"decimals":true}', "decimals"),
        ('{"device":1}', "texts"),
    ],
)
def test_what_is_no_description_is_refused(text: str, reason: str) -> None:
    """It is never taken for another channel's."""
    with pytest.raises(ValueError, match=reason):
        metadata_of(text, "")
