"""What values take in memory is guessed well enough to bound it."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from sensord.model.weight import weight_of


def measured(value: Any) -> int:
    """Add up what the interpreter says, each part on its own."""
    size = sys.getsizeof(value)
    if isinstance(value, list):
        size += sum(measured(one) for one in value)
    if isinstance(value, dict):
        size += sum(sys.getsizeof(key) + measured(one) for key, one in value.items())
    return size


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**60,
        1.5,
        "",
        "x" * 1000,
        "☃" * 1000,
        [],
        list(range(300, 1300)),
        [[[[k + 0.5]]] for k in range(300)],
        {"temperature": 21.5, "name": "boiler"},
        {f"key {i}": [float(i), {"a": "b"}] for i in range(100)},
    ],
)
def test_a_guess_is_neither_a_third_nor_three_times_of_it(value: Any) -> None:
    """Whatever it consists of."""
    assert measured(value) / 3 <= weight_of(value) <= 3 * measured(value)
