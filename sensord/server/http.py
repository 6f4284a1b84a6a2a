"""The pages that answer plain HTTP beside the WebSocket, for curl and health checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from urllib.parse import parse_qs, urlsplit

from sensord.bus import Bus
from sensord.model.readings import Record
from sensord.model.times import iso
from sensord.model.topics import filter_fault

__all__ = ["Answer", "Pages"]

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Pages:
    """Answers by path. ``health`` gives what ``/healthz`` shows beside its status."""

    bus: Bus
    health: Callable[[], Mapping[str, object]]

    def get(self, target: str) -> Answer:
        """Answer a request for a path with its query."""
        try:
            parts = urlsplit(target)
        except ValueError:  # brackets around what is no address
            return self._unknown()
        if parts.path == "/healthz":
            return _json(200, {"status": "ok", **self.health()})
        if parts.path == "/api/readings":
            # A plus is a wildcard here, not a space: people type it as it is.
            fields = parse_qs(parts.query.replace("+", "%2B"))
            return self._readings(fields.get("topics", ["#"]))
        return self._unknown()

    def _unknown(self) -> Answer:
        paths = "/healthz and /api/readings"
        return _json(404, {"error": f"there is only {paths}, and a WebSocket at /v1"})

    def _readings(self, filters: list[str]) -> Answer:
        for pattern in filters:
            if fault := filter_fault(pattern):
                return _json(400, {"error": f"topics={pattern}: {fault}"})
        last = (self.bus.last(channel) for channel in self.bus.select(filters))
        readings = [describe(record) for record in last if record is not None]
        return _json(200, {"epoch": self.bus.log.epoch, "readings": readings})


def describe(record: Record) -> dict[str, object]:
    """Write a record for people and scripts: every name spelt out, times as ISO 8601."""
    reading, metadata = record.reading, record.channel.metadata
    told: dict[str, object] = {
        "topic": record.channel.topic,
        "value": reading.value,
        "unit": metadata.unit,
        "time": iso(reading.time_us),
        "quality": reading.quality.level.name.lower(),
        "offset": record.offset,
    }
    if reading.quality.reason:
        told["reason"] = reading.quality.reason
    if reading.restates:
        told["restated"] = iso(record.log_us)
    if metadata.device:
        told["device"] = metadata.device
    return told


def _json(status: int, body: Mapping[str, object]) -> Answer:
    text = json.dumps(body, ensure_ascii=False, default=asdict, indent=1)
    return status, JSON, text.encode("utf-8", "replace") + b"\n"
