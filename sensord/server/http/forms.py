"""Readings and messages as plain HTTP carries them: events, JSON and CSV.

Each form is a `Codec` of its own, so subscriptions and histories serve such clients as any others,
and live monitors that asked for the same events share their bytes. What a form does not show is
empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sensord.model.readings import Level, Quality, Reason, Record
from sensord.model.times import iso
from sensord.recordings.text_rows import csv_field, csv_header, csv_of
from sensord.server.http.routes import describe
from sensord.wire.frames import Announced, Codec, DecodedFrame, Message

__all__ = ["CsvForm", "Events", "Form", "JsonForm"]

MOST_GAPS = 1_000
"""Of an answer in JSON, which has them after its readings; further ones are only counted."""

SUMMARY = ("time", "topic", "count", "first", "last", "min", "max", "mean", "unit")


class _Plain:
    """What the forms have in common: they are written, and never read."""

    subprotocol = ""
    is_text = None

    def with_stream(self, frame: bytes, stream: int) -> bytes:
        """Return the frame: nothing in it depends on a stream."""
        del stream
        return frame

    def decode(self, payload: bytes) -> NoReturn:
        """Refuse: nothing comes."""
        raise AssertionError(payload)

    def read_frame(self, frame: Sequence[object], announced: Announced) -> DecodedFrame:
        """Refuse: nothing comes."""
        raise AssertionError(frame, announced)


class Events(_Plain):
    """Server-sent events: one for each reading, with the position after it as its id."""

    content_type = "text/event-stream"
    head = b"retry: 1000\n\n"

    def __init__(self, epoch: Callable[[], str]) -> None:
        self._epoch = epoch

    def message(self, message: Message) -> bytes:
        """Write a gap or a phase."""
        match message["op"]:
            case "gap":
                shown = {name: message[name] for name in ("reason", "from", "to", "count", "lost")}
                if detail := message.get("detail"):
                    shown["detail"] = detail
                return self._event("gap", shown, message["to"])
            case "stream":
                cursor = message["cursor"]
                shown = {"phase": message["phase"], "position": self._position(cursor)}
                return self._event("phase", shown, cursor)
        return b""

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        """Write readings; those of a snapshot have no position to continue from."""
        del stream
        made = []
        for record in records:
            reached = None if cursor is None else record.offset + 1
            if reached is not None and record is records[-1]:
                reached = cursor
            made.append(self._event("", _shown(record), reached))
        return b"".join(made)

    def _position(self, offset: int | None) -> str | None:
        return None if offset is None else f"{self._epoch()}:{offset}"

    def _event(self, name: str, shown: object, offset: int | None) -> bytes:
        named = f"event: {name}\n" if name else ""
        place = "" if offset is None else f"id: {self._position(offset)}\n"
        return f"{named}{place}data: {_json(shown)}\n\n".encode("utf-8", "replace")


class JsonForm(_Plain):
    """One JSON object: the readings or summaries, then the gaps and where to continue.

    Each part begins with a separator, which the first one loses when it is sent.
    """

    content_type = "application/json"

    def __init__(self, epoch: str, *, are_summaries: bool) -> None:
        name = "summaries" if are_summaries else "readings"
        self.head = f'{{\n "epoch": {json.dumps(epoch)},\n "{name}": ['.encode()
        self._gaps: list[object] = []
        self._more_gaps = 0
        self._channels: dict[int, Message] = {}

    def message(self, message: Message) -> bytes:
        """Write summaries and the end; note gaps and channels."""
        match message["op"]:
            case "channels":
                self._channels |= {one["channel"]: one for one in message["channels"]}
            case "summary":
                rows = [_summary(row, self._channels) for row in message["rows"]]
                return "".join(f",\n  {_json(row)}" for row in rows).encode("utf-8", "replace")
            case "gap" if len(self._gaps) < MOST_GAPS:
                names = ("reason", "from", "to", "count", "lost")
                self._gaps.append({name: message[name] for name in names})
            case "gap":
                self._more_gaps += 1
            case "end":
                return self._end(message)
        return b""

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        """Write readings."""
        del stream, cursor
        made = "".join(f",\n  {_json(_shown(record))}" for record in records)
        return made.encode("utf-8", "replace")

    def _end(self, message: Message) -> bytes:
        more = f',\n "more_gaps": {self._more_gaps}' if self._more_gaps else ""
        return (
            f'\n ],\n "gaps": {_json(self._gaps)}{more},\n "next": {message.get("cursor", "null")},'
            f'\n "complete": {_json(message.get("complete", False))}\n}}\n'
        ).encode()


class CsvForm(_Plain):
    """The columns of an export; a gap is a row without topic and value, its quality ``gap``."""

    content_type = "text/csv"

    def __init__(self, *, are_summaries: bool) -> None:
        self.head = (",".join(SUMMARY) + "\n" if are_summaries else csv_header()).encode()
        self._are_summaries = are_summaries
        self._channels: dict[int, Message] = {}

    def message(self, message: Message) -> bytes:
        """Write summaries and gaps."""
        match message["op"]:
            case "channels":
                self._channels |= {one["channel"]: one for one in message["channels"]}
            case "summary":
                rows = [_summary(row, self._channels) for row in message["rows"]]
                return "".join(_line(row) for row in rows).encode("utf-8", "replace")
            case "gap" if not self._are_summaries:
                start, count = message["from"], message["count"]
                reason = message["reason"] + ("" if count is None else f": {count} readings")
                return f"{'' if start is None else start},,,,,,gap,{reason},false\n".encode()
            case "gap":
                return f",,0,{message['reason']},,,,,\n".encode()
        return b""

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        """Write readings."""
        del stream, cursor
        return csv_of(records).encode("utf-8", "backslashreplace")


Form = JsonForm | CsvForm


def _shown(record: Record) -> dict[str, object]:
    try:
        row = describe(record)
        _json(row)
    except (ValueError, RecursionError):
        bad = Quality(Level.BAD, Reason.NOT_SENDABLE)
        reading = record.reading._replace(value=None, quality=bad)
        row = describe(record._replace(reading=reading))
    return row


def _json(found: object) -> str:
    return json.dumps(found, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _summary(row: Message, channels: dict[int, Message]) -> dict[str, Any]:
    channel = channels[row["channel"]]
    shown = {
        "topic": channel["topic"],
        "unit": channel.get("unit", ""),
        "time": iso(row["time_us"]),
    }
    names = ("count", "first", "last", "min", "max", "mean")
    return shown | {name: row[name] for name in names if name in row}


def _line(row: dict[str, Any]) -> str:
    fields = [csv_field(row.get(name)) for name in SUMMARY]
    return (
        ",".join(
            f'"{one.replace(chr(34), 2 * chr(34))}"' if set(one) & set(',"\n') else one
            for one in fields
        )
        + "\n"
    )


def _is_codec(form: Events | Form) -> Codec:
    return form
