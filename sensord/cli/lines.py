"""Readings and gaps as lines: for people, and as JSON for programs."""

from __future__ import annotations

import json

from sensord.cli.look import columns, fitted, local, painted
from sensord.client import Gap, Item, PhaseChange, Update
from sensord.model.readings import Value
from sensord.model.times import iso
from sensord.terminal.cells import fit
from sensord.terminal.values import plain_value

__all__ = ["as_json", "as_line", "gap_line", "plain_value"]

TOPIC_CELLS, OTHER_CELLS = 40, 40
"""Of a line: the topic, and what is beside it."""


def as_line(item: Item) -> str | None:
    """Write a reading as a line of a table; return None for other items."""
    if not isinstance(item, Update):
        return None
    reading, metadata = item.reading, item.channel.metadata
    when = local(reading.time_us, has_day=False, has_fraction=True)
    value = _said(item.topic, reading.value) or plain_value(reading.value, metadata.decimals)
    notes = []
    if reading.quality.level:
        notes.append(f"{reading.quality.level.name.lower()}: {reading.quality.reason}")
    if reading.restates and not reading.quality.level:
        notes.append("confirmed")
    note = f"  ({', '.join(notes)})" if notes else ""
    width = columns()
    topic = TOPIC_CELLS if width is None else max(12, min(TOPIC_CELLS, width - OTHER_CELLS))
    line = f"{when}  {fit(item.topic, topic, keeps_end=True) if width else f'{item.topic:<40}'}"
    line = f"{line} {value:>12} {metadata.unit}{note}".rstrip()
    return painted(fitted(line), reading.quality.level)


def _said(topic: str, value: Value) -> str | None:
    """Describe an audit event or a shared state; return None for other topics."""
    if not isinstance(value, dict):
        return None
    root = topic.partition("/")[0]
    if root == "$audit":
        return _act(value)
    return _state(value) if root == "state" else None


def _act(value: dict[str, Value]) -> str | None:
    who = value.get("who")
    if not isinstance(who, dict):
        return None
    text = f"{who.get('name') or who.get('id')}: {value.get('subject')}, {value.get('result')}"
    if value.get("detail"):
        text += f" ({plain_value(value['detail'], None)})"
    before, after = (value.get(name) for name in ("before", "after"))
    if after is None:
        return text
    changes = [plain_value(one, None) for one in (before, after) if one is not None]
    return f"{text}: {' → '.join(changes)}"


def _state(value: dict[str, Value]) -> str | None:
    who = value.get("by")
    if not isinstance(who, dict):
        return None
    shown = "deleted" if "deleted" in value else plain_value(value.get("value"), None)
    return f"{shown}  by {who.get('name') or who.get('id')}, version {value.get('version')}"


def as_json(item: Item) -> str | None:
    """Write a reading or a gap as a JSON object."""
    if isinstance(item, PhaseChange):
        return None
    if isinstance(item, Gap):
        row: dict[str, object] = {"gap": item.reason, "count": item.count, "lost": item.lost}
        return json.dumps(row, ensure_ascii=False)
    channel, reading = item.channel, item.reading
    row = {
        "topic": channel.topic,
        "time_us": reading.time_us,
        "time": iso(reading.time_us),
        "value": reading.value,
        "unit": channel.metadata.unit,
        "quality": reading.quality.level.name.lower(),
    }
    if reading.quality.reason:
        row["reason"] = reading.quality.reason
    if reading.restates:
        row["restated_us"] = item.reported_us
    if item.is_last_value:
        row["snapshot"] = True
    return json.dumps(row, ensure_ascii=False)


_REASONS = {
    "expired": "no longer kept",
    "missing": "not in the journal",
    "conflated": "replaced by newer values",
    "epoch_changed": "the position belongs to another log; starting with the last values",
    "ahead": "the position is beyond the end; starting with the last values",
}


def gap_line(gap: Gap) -> str:
    """Write a gap for people."""
    why = _REASONS.get(gap.reason, gap.reason)
    if gap.detail:
        why += f" ({gap.detail})"
    if gap.start is None and gap.stop is None:
        return f"-- {why}"
    count = "readings" if gap.count is None else f"{gap.count} readings"
    return f"-- {count} missing: {why}"
