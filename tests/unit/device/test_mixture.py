"""Several devices that feed one channel are recognised by an id that alternates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.device.mixture import mixture_of
from sensord.model.readings import Value


def seen(field: str, values: list[Value]) -> list[str]:
    """Return what a field's values show."""
    mixture = mixture_of(field)
    assert mixture is not None
    return [text for value in values if (text := mixture.see(field, value))]


@pytest.mark.parametrize(
    ("field", "values", "shown"),
    [
        ("node", [0.0, 12.0, 12.0, 13.0, 12.0], "node is 0.0, 12.0, 13.0 by turns"),
        ("id", [12084, "0db71c", 777], "id is 12084, 0db71c by turns"),
        ("id", ["a", "b", "a"], "id is a, b, a by turns"),
        ("rf/device_id", ["a", "b", "b", "a"], "rf/device_id is a, b, a by turns"),
        ("s/0/value_type", ["SDS_P1", "SDS_P1", "BME_t"], "what stands there in its list changes"),
    ],
)
def test_an_id_that_alternates_is_several_devices(
    field: str, values: list[Value], shown: str
) -> None:
    """It is said once."""
    (text,) = seen(field, values * 3)
    assert shown in text
    assert "docs/decoders.md#several-devices-in-one-stream" in text


@pytest.mark.parametrize(
    "values",
    [
        ["a"] * 9,
        ["a", "b", "b", "b"],
        ["a", "", "a", None, "a"],
        [*range(200), *range(200)],
        [None, {"x": 1}, None],
    ],
)
def test_one_device_is_not_taken_for_several(values: list[Value]) -> None:
    """A device that was replaced, an id that is missing at times, a count of messages."""
    assert seen("id", values) == []


@pytest.mark.parametrize("field", ["temperature", "t/0/value", "name", "unit", "idle", "paid", ""])
def test_other_fields_are_not_looked_at(field: str) -> None:
    """They cost nothing."""
    assert mixture_of(field) is None


@given(st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=2)))
def test_no_values_raise_and_all_are_said_once(values: list[Value]) -> None:
    """Whatever a device sends under such a name."""
    assert len(seen("id", values)) <= 1
