"""A filter that selects nothing is met with the one that was probably meant."""

from __future__ import annotations

import pytest

from sensord.cli.hints import absent

KNOWN = ["plant/boiler/temperature", "plant/boiler/pressure", "plant/pump/speed", "$sys/journal"]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("plant/boiler/temprature", "plant/boiler/temperature"),
        ("temperature", "plant/boiler/temperature"),
        ("boiler", "plant/boiler/#"),
        ("plant/boilr/#", "plant/boiler/#"),
        ("plnt/+/speed", "plant/+/speed"),
        ("plant/+/sped", "plant/+/speed"),
        ("plant/pmup/+", "plant/pump/+"),
        ("$sys/jornal", "$sys/journal"),
    ],
)
def test_the_nearest_filter_is_proposed(wanted: str, meant: str) -> None:
    """Level by level where it has wildcards."""
    assert absent([wanted], KNOWN) == [f"{wanted}: no such topic; did you mean {meant}?"]


def test_what_is_near_to_nothing_gets_no_proposal() -> None:
    """And what selects something no note."""
    assert absent(["xyz", "xyz/#", "plant/#", "#", "plant/+"], KNOWN) == [
        "xyz: no such topic",
        "xyz/#: no such topic",
        "plant/+: no such topic",
    ]
