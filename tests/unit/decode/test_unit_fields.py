"""The unit that stands beside a value in the message is the value's."""

from __future__ import annotations

import pytest

from sensord.decode import csv_line, json_paths, key_value, regex
from sensord.decode.base import Decoder
from tests.unit.decode.streams import config_faults

UNITS = {"value": "unit"}
DMM = r"^DC +(?P<value>[-\d.]+) +(?P<unit>\w+)$"
OF_COLUMNS = csv_line.Config(fields=("value", "unit"), unit_fields=UNITS)
OF_JSON = json_paths.Config(unit_fields=UNITS)


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (regex.Decoder(regex.Config(pattern=DMM, unit_fields=UNITS)), b"DC  3.999   V"),
        (csv_line.Decoder(OF_COLUMNS), b"3.999,V"),
        (key_value.Decoder(key_value.Config(unit_fields=UNITS)), b"value=3.999;unit=V"),
        (json_paths.Decoder(OF_JSON), b'{"value": 3.999, "unit": "V"}'),
    ],
)
def test_a_unit_beside_a_value(decoder: Decoder, message: bytes) -> None:
    """It gives no reading of its own."""
    samples, faults = decoder.decode(message)
    assert faults == []
    assert [(one.field, one.value, one.unit) for one in samples] == [("value", 3.999, "V")]
    metadata = decoder.metadata("value")
    assert metadata is not None
    assert metadata.unit == "V"


def test_what_is_no_unit_leaves_the_value_alone() -> None:
    """A word that a device has for itself converts nothing."""
    decoder = key_value.Decoder(key_value.Config(unit_fields=UNITS))
    assert decoder.decode(b"value=1;unit=").samples[0].unit is None


def test_fields_that_are_not_there_are_faults() -> None:
    """A misspelt name would give no unit for ever."""
    table = {"fields": ["value", "unit"], "unit_fields": {"value": "units"}}
    assert config_faults(csv_line.Config, table) == [
        'unit_fields: "units" is not one of the fields'
    ]
    assert config_faults(key_value.Config, {"unit_fields": {"a": "a"}})


def test_a_unit_that_nobody_knows_goes_with_its_value() -> None:
    """A channel of another unit refuses it, instead of calling it its own."""
    decoder = key_value.Decoder(key_value.Config(unit_fields=UNITS))
    assert decoder.decode(b"value=1;unit=blobs").samples[0].unit == "blobs"
