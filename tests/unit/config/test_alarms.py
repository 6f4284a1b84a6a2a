"""What an alarm's table may say."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.config.alarms import Alarm, name_fault
from sensord.config.schema import Faults, structure


def found(table: dict[str, Any]) -> list[str]:
    faults = Faults()
    structure(Alarm, {"topic": "a/b", **table}, (), faults)
    return [".".join(map(str, path)) for path, _ in faults.found]


@pytest.mark.parametrize(
    ("table", "at"),
    [
        ({"above": 1}, []),
        ({"below": 1, "above": 2, "hysteresis": 0.4}, []),
        ({"outside": [1, 2]}, []),
        ({"stale": "5m"}, []),
        ({"quality": "bad"}, []),
        ({"equals": "fault"}, []),
        ({"topic": "a/+", "above": 1}, ["topic"]),
        ({}, [""]),
        ({"outside": [2, 1]}, ["outside"]),
        ({"outside": [1]}, ["outside"]),
        ({"outside": [1, 2], "above": 3}, ["outside"]),
        ({"above": 1, "below": 2}, ["below"]),
        ({"above": 1, "hysteresis": -1}, ["hysteresis"]),
        ({"equals": 1, "hysteresis": 1}, ["hysteresis"]),
        ({"outside": [1, 2], "hysteresis": 0.5}, ["hysteresis"]),
        ({"above": 1, "priority": "huge"}, ["priority"]),
    ],
)
def test_faults_stand_where_they_are(table: dict[str, Any], at: list[str]) -> None:
    """What cannot be meant is refused at its key."""
    assert found(table) == at


@pytest.mark.parametrize(("name", "is_good"), [("hot-1", True), ("a/b", False), ("$x", False)])
def test_a_name_is_one_level(name: str, is_good: bool) -> None:  # a parameter
    """It is the last level of its topics."""
    assert (name_fault(name) is None) is is_good
