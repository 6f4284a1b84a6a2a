"""How readings look to people."""

from __future__ import annotations

import pytest

from sensord.cli.lines import as_line
from sensord.client import Update
from sensord.model.readings import Channel, Metadata, Reading, Value, ValueType

WHO = {"id": "5f0c11a7e2b9", "name": "Anna", "address": "127.0.0.1:4711"}


def line(topic: str, value: Value) -> str:
    channel = Channel(1, topic, Metadata(ValueType.JSON))
    told = as_line(Update(channel, Reading(0, value), 0, is_last_value=False))
    assert told is not None
    return told[len("00:00:00.000  ") :].removeprefix(f"{topic:<40}").strip()


@pytest.mark.parametrize(
    ("topic", "value", "told"),
    [
        (
            "$audit/set",
            {"who": WHO, "subject": "oven/a", "result": "pending", "before": 20, "after": 22.5},
            "Anna: oven/a, pending: 20 → 22.5",
        ),
        (
            "$audit/set",
            {"who": WHO, "subject": "oven/a", "result": "held", "detail": "by Bert"},
            "Anna: oven/a, held (by Bert)",
        ),
        (
            "$audit/lease",
            {"who": WHO | {"name": ""}, "subject": "oven", "result": "taken"},
            "5f0c11a7e2b9: oven, taken",
        ),
        (
            "state/plan",
            {"version": 7, "value": {"a": [1]}, "by": {"id": "x", "name": "Anna"}},
            '{"a": [1]}  by Anna, version 7',
        ),
        (
            "state/plan",
            {"version": 8, "deleted": True, "by": {"id": "x", "name": ""}},
            "deleted  by x, version 8",
        ),
        ("$audit/set", {"who": "nobody"}, '{"who": "nobody"}'),
        ("state/plan", {"by": 3}, '{"by": 3}'),
        ("state/plan", "text", "text"),
        ("plant/a", {"by": {"name": "x"}}, '{"by": {"name": "x"}}'),
    ],
)
def test_who_did_what_is_said_in_words(topic: str, value: Value, told: str) -> None:
    """What is not of that shape is shown as it is."""
    assert line(topic, value) == told
