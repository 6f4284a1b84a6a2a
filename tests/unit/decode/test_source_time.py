"""The source time in a message, for every decoder that reads one."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.config.schema import Faults, structure
from sensord.decode import registry
from sensord.decode.base import BAD_TIME, Decoder, Zoned

NOON_US = 1_795_608_000_000_000
"""2026-11-25T12:00:00Z, 13:00 in Berlin."""

FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "json": ({"time": "t"}, '{{"t": "{}", "v": 5}}'),
    "csv": ({"time": "t", "fields": ["t", "v"]}, "{},5"),
    "key_value": ({"time": "t"}, "t={};v=5"),
    "regex": ({"time": "t", "pattern": r"^(?P<t>[^ ]+) (?P<v>[0-9]+)$"}, "{} 5"),
}

each_form = pytest.mark.parametrize("name", FORMS)


def decoder_of(name: str, **options: str) -> Decoder:
    found = registry.find(name)
    assert found is not None
    faults = Faults()
    config = structure(found.config, FORMS[name][0] | options, (), faults)
    assert config is not None, faults.found
    return found.create(config)


def read(decoder: Decoder, name: str, time: str) -> tuple[list[tuple[str, int | None]], list[str]]:
    samples, faults = decoder.decode(FORMS[name][1].format(time).encode())
    told = [(sample.field, sample.time_us) for sample in samples]
    return told, [fault.reason for fault in faults]


@each_form
@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("s", "1795608000"),
        ("ms", "1795608000000"),
        ("us", "1795608000000000"),
        ("iso8601", "2026-11-25T12:00:00Z"),
        ("iso8601", "2026-11-25T13:00:00+01:00"),
    ],
)
def test_a_time_is_that_of_each_value_and_no_value_itself(name: str, unit: str, text: str) -> None:
    """In whatever unit it is written."""
    decoder = decoder_of(name, time_unit=unit)
    assert read(decoder, name, text) == ([("v", NOON_US)], [])
    assert isinstance(decoder, Zoned)
    assert decoder.is_zone_known


@each_form
def test_a_time_without_a_zone_is_of_the_zone_that_is_named(name: str) -> None:
    """Winter and summer."""
    decoder = decoder_of(name, time_unit="iso8601", zone="Europe/Berlin")
    assert read(decoder, name, "2026-11-25T13:00:00") == ([("v", NOON_US)], [])
    summer, _ = read(decoder, name, "2026-07-01T14:00:00")
    assert summer == read(decoder, name, "2026-07-01T12:00:00Z")[0]
    assert isinstance(decoder, Zoned)
    assert decoder.is_zone_known


@each_form
def test_without_a_zone_it_is_not_known(name: str) -> None:
    """It is read as UTC, and whoever takes it is to look twice."""
    decoder = decoder_of(name, time_unit="iso8601")
    assert read(decoder, name, "2026-11-25T12:00:00") == ([("v", NOON_US)], [])
    assert isinstance(decoder, Zoned)
    assert not decoder.is_zone_known
    read(decoder, name, "2026-11-25T12:00:00Z")
    assert decoder.is_zone_known


@each_form
def test_what_is_no_time_is_named_and_the_values_stand(name: str) -> None:
    """With the time of their arrival."""
    decoder = decoder_of(name, time_unit="iso8601")
    assert read(decoder, name, "soon") == ([("v", None)], [BAD_TIME])


@each_form
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_unit": "iso8601", "zone": "Europe/Atlantis"}, "no zone that this machine knows"),
        ({"time_unit": "iso8601", "zone": "../etc/passwd"}, "no zone that this machine knows"),
        ({"time_unit": "iso8601", "zone": "Europe"}, "no zone that this machine knows"),
        ({"time_unit": "s", "zone": "Europe/Berlin"}, 'needs time_unit = "iso8601"'),
    ],
)
def test_a_zone_that_cannot_be_is_refused(name: str, options: dict[str, str], message: str) -> None:
    """With the configuration."""
    found = registry.find(name)
    assert found is not None
    faults = Faults()
    structure(found.config, FORMS[name][0] | options, (), faults)
    assert [message in text for _, text in faults.found] == [True]
