"""What each path of plain HTTP answers, for browsers, curl and health checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from operator import attrgetter
from urllib.parse import parse_qs, urlsplit

from sensord.access.rights import Rights
from sensord.bus import Bus
from sensord.model.readings import Channel, Record, Value
from sensord.model.times import iso
from sensord.model.topics import filter_fault
from sensord.status.metrics import (
    CONTENT_TYPE,
    Metric,
    daemon_metrics,
    exposition,
    reading_metrics,
)
from sensord.status.verdict import Severity, is_ready, verdict
from sensord.web import asset
from sensord.wire.fields import MAX_FILTERS

__all__ = ["PIECE_BYTES", "Answer", "Routes"]

JSON = "application/json"

PAGES = {"/": "index.html", "/login": "login.html"}

PIECE_BYTES = 16 * 1024
"""The approximate size of a piece of a body; making it costs a millisecond."""

MATCHED_AT_ONCE = 1024
"""Topics found in one turn of the loop."""

MAX_FIELDS = MAX_FILTERS + 16
"""The most parameters of a query, whatever their names."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request.

    A body that may be large comes in pieces, each of which is one turn's work to make; an empty
    one is work without a result.
    """

    status: int
    content_type: str
    body: bytes | Iterator[bytes]
    tag: str = ""
    """The entity tag of a body that a browser may keep until it changes."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Answers by path.

    ``health`` gives what ``/healthz`` shows, ``metrics`` the server's part of ``/metrics``.
    """

    bus: Bus
    health: Callable[[], Mapping[str, object]]
    metrics: Callable[[], Iterable[Metric]]

    def get(self, target: str, rights: Rights) -> Answer:
        """Answer a request for a path with its query, as far as it may be read."""
        is_open = rights.covers("$sys/#")
        try:
            parts = urlsplit(target)
        except ValueError:  # brackets around what is no address
            return self._unknown()
        if (file := asset(_file_of(parts.path))) is not None:
            return Answer(200, file.content_type, file.body, file.tag)
        if parts.path == "/healthz":
            health = {"status": "ok", **self.health()}
            return _json(200, health if is_open else {"status": health["status"]})
        if parts.path == "/readyz":
            return self._ready(is_open=is_open)
        if parts.path == "/metrics":
            return self._metrics(parts.query, rights) if is_open else _forbidden("$sys/#")
        if parts.path == "/api/readings":
            return self._readings(parts.query, rights)
        return self._unknown()

    def _system(self) -> dict[str, Value]:
        """Return the last values under ``$sys``, by topic."""
        records = (self.bus.last(channel) for channel in self.bus.select(["$sys/#"]))
        return {one.channel.topic: one.reading.value for one in records if one is not None}

    def _ready(self, *, is_open: bool) -> Answer:
        findings = verdict(self._system())
        body = {
            "status": "ready" if is_ready(findings) else "not ready",
            "findings": [
                {"severity": one.severity.name.lower(), "subject": one.subject, "text": one.text}
                for one in findings
                if one.severity > Severity.OK
            ],
        }
        if not is_open:
            del body["findings"]
        return _json(200 if is_ready(findings) else 503, body)

    def _metrics(self, query: str, rights: Rights) -> Answer:
        filters, refusal = self._filters(query, [])
        if refusal is not None:
            return refusal
        return Answer(200, CONTENT_TYPE, self._metric_pieces([*rights.narrowed(filters)]))

    def _metric_pieces(self, filters: list[str]) -> Iterator[bytes]:
        families = [*self.metrics(), *daemon_metrics(self._system())]
        for family in exposition(families):
            yield _encoded(family)
        if filters:
            found = yield from self._selected(filters)
            records = (self.bus.last(channel) for channel in found)
            values = reading_metrics(one for one in records if one is not None)
            for family in exposition(values):
                yield _encoded(family)

    def _unknown(self) -> Answer:
        paths = "/, /healthz, /readyz, /metrics, /api/readings, /api/history and /api/stream"
        return _json(404, {"error": f"there is only {paths}, and a WebSocket at /v1"})

    def _filters(self, query: str, default: list[str]) -> tuple[list[str], Answer | None]:
        """Return the filters of a query, or the answer that refuses them."""
        try:
            # A plus is a wildcard here, not a space: people type it as it is.
            fields = parse_qs(query.replace("+", "%2B"), max_num_fields=MAX_FIELDS)
        except ValueError:
            return [], _json(400, {"error": f"more than {MAX_FIELDS} fields"})
        filters = fields.get("topics", default)
        if len(filters) > MAX_FILTERS:
            return [], _json(400, {"error": f"topics: send at most {MAX_FILTERS} filters"})
        for pattern in filters:
            if fault := filter_fault(pattern):
                return [], _json(400, {"error": f"topics={pattern}: {fault}"})
        return filters, None

    def _readings(self, query: str, rights: Rights) -> Answer:
        filters, refusal = self._filters(query, ["#"])
        if refusal is not None:
            return refusal
        allowed = [*rights.narrowed(filters)]
        return Answer(200, JSON, self._pieces(allowed)) if allowed else _forbidden(filters[0])

    def _selected(self, filters: list[str]) -> Generator[bytes, None, list[Channel]]:
        """Find channels, some in each piece; return them by number."""
        found: list[Channel] = []
        selecting = self.bus.selecting(filters)
        while part := list(islice(selecting, MATCHED_AT_ONCE)):
            found += part
            yield b""
        found.sort(key=attrgetter("number"))
        return found

    def _pieces(self, filters: list[str]) -> Iterator[bytes]:
        found = yield from self._selected(filters)
        made = [f'{{\n "epoch": {json.dumps(self.bus.log.epoch)},\n "readings": [']
        size, separator = 0, "\n  "
        for channel in found:
            if (record := self.bus.last(channel)) is None:
                continue
            made.append(separator + _indented(describe(record)))
            separator = ",\n  "
            size += len(made[-1])
            if size >= PIECE_BYTES:
                yield _encoded("".join(made))
                made.clear()
                size = 0
        # As `json.dumps` writes it: an empty list in one line.
        made.append("]\n}\n" if separator == "\n  " else "\n ]\n}\n")
        yield _encoded("".join(made))


def _file_of(path: str) -> str:
    """Return the name of the page's file for a path."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("/web/") if path.startswith("/web/") else ""


def _indented(reading: dict[str, object]) -> str:
    """Write a reading as `json.dumps` would, indented by 1 inside a list inside a map.

    Value by value: with an indent, `json` falls back to its slow encoder.
    """
    fields = []
    for name, value in reading.items():
        if isinstance(value, str | int | float | None):
            text = json.dumps(value, ensure_ascii=False)
        else:
            text = json.dumps(value, ensure_ascii=False, default=asdict, indent=1)
            text = text.replace("\n", "\n   ")
        fields.append(f'\n   "{name}": {text}')
    return "{" + ",".join(fields) + "\n  }"


def describe(record: Record) -> dict[str, object]:
    """Write a record for people and scripts: every name spelt out, times as ISO 8601."""
    reading, metadata = record.reading, record.channel.metadata
    row: dict[str, object] = {
        "topic": record.channel.topic,
        "value": reading.value,
        "unit": metadata.unit,
        "time": iso(reading.time_us),
        "quality": reading.quality.level.name.lower(),
        "offset": record.offset,
    }
    if reading.quality.reason:
        row["reason"] = reading.quality.reason
    if reading.restates:
        row["restated"] = iso(record.log_us)
    if metadata.device:
        row["device"] = metadata.device
    return row


def _forbidden(pattern: str) -> Answer:
    return _json(403, {"error": f"no right to read {pattern}"})


def _json(status: int, body: Mapping[str, object]) -> Answer:
    text = json.dumps(body, ensure_ascii=False, default=asdict, indent=1)
    return Answer(status, JSON, _encoded(text + "\n"))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")
