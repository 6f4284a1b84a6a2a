"""A reading as a JSON text, for destinations that carry messages. Pure."""

from __future__ import annotations

import json

from sensord.model.readings import Channel, Record, Value
from sensord.model.times import iso

__all__ = ["Payloads", "next_offset"]

_LEVELS = ("good", "uncertain", "bad")

_encode = json.JSONEncoder(ensure_ascii=False).encode


class Payloads:
    """Writes readings; remembers what is the same in all of a channel and of a second."""

    def __init__(self, *, has_topic: bool, has_log_time: bool = False) -> None:
        """``has_topic``: the text contains the topic, as the message has it in another form.

        ``has_log_time``: it contains the log time, where that is not the reading's own.
        """
        self._has_topic = has_topic
        self._has_log_time = has_log_time
        self._heads: dict[Channel, str] = {}
        self._units: dict[Channel, str] = {}
        self._second = (-1, "")

    def write(self, epoch: str, record: Record) -> bytes:
        """Return the text of a reading."""
        offset, log_us, channel, (time_us, value, quality, restates) = record
        head = self._heads.get(channel)
        if head is None:
            head = self._add(channel)
        parts = [
            head,
            repr(value) if type(value) is float else _encode(value),
            ', "time": ',
            self._time(time_us),
            f', "quality": "{_LEVELS[quality.level]}"',
        ]
        if quality.reason:
            parts += ', "reason": ', _encode(quality.reason)
        if restates:
            parts += ', "restated": ', self._time(log_us)
        elif self._has_log_time and log_us != time_us:
            parts += ', "logged": ', self._time(log_us)
        parts.append(f'{self._units[channel]}, "epoch": "{epoch}", "offset": {offset}}}')
        return "".join(parts).encode("utf-8", "replace")

    def _add(self, channel: Channel) -> str:
        unit = channel.metadata.unit
        self._units[channel] = f', "unit": {_encode(unit)}' if unit else ""
        topic = f'"topic": {_encode(channel.topic)}, ' if self._has_topic else ""
        head = self._heads[channel] = f'{{{topic}"value": '
        return head

    def _time(self, time_us: int) -> str:
        second, rest = divmod(time_us, 1_000_000)
        if second != self._second[0]:
            whole = iso(second * 1_000_000)
            if whole is None:
                return "null"
            self._second = second, f'"{whole[:-7]}'
        return f'{self._second[1]}{rest:06d}Z"'


def next_offset(record: Record) -> int:
    """Return the offset from which on nothing is delivered once this record is."""
    value: Value = record.reading.value
    if record.channel.topic.startswith("$gap/") and isinstance(value, dict):
        stop = value.get("to")
        if isinstance(stop, int):
            return stop
    return record.offset + 1
