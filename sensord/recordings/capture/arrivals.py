"""What a device's reader passes on, as values, and their form in a capture. Pure.

Source: docs/recordings.md, Raw captures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from sensord.decode.base import Sample
from sensord.device.intake import DEVICE, Route
from sensord.model.readings import Level, Quality

__all__ = ["Arrival", "Event", "Message", "Piece", "Values", "What", "payload_of", "what_of"]
__all__ += ["Stored", "stored"]


class Piece(NamedTuple):
    """The next bytes of a stream, cut as they came."""

    data: bytes


class Message(NamedTuple):
    """One whole message."""

    route: Route
    payload: bytes


class Values(NamedTuple):
    """Samples that needed no decoding."""

    samples: tuple[Sample, ...]
    route: Route = DEVICE


class Event(NamedTuple):
    """What became of the connection.

    ``kind`` is ``up``, ``down``, ``fault`` (which ends nothing), ``online`` and ``offline`` (of
    what ``reason`` names) or ``end`` (of the capture).
    """

    kind: str
    reason: str = ""
    detail: str = ""


What = Piece | Message | Values | Event


class Arrival(NamedTuple):
    """One arrival, and its time.

    Units: ``at_us`` is the wall clock at the start of the capture and the time passed since then,
    so it never goes back; ``wall_us`` is the time that the wall clock showed.
    """

    at_us: int
    wall_us: int
    what: What


class Stored(NamedTuple):
    """The channel of the file for an arrival: one a kind, and for messages one a route.

    ``facts`` are its metadata; with them and a payload `what_of` restores the arrival.
    """

    topic: str
    encoding: str
    facts: tuple[tuple[str, str], ...]


BYTES, JSON = "bytes", "json"
"""Message encodings. No tool mistakes the first for one that it can read."""


def stored(device: str, what: What) -> Stored:
    """Return the channel for an arrival."""
    match what:
        case Piece():
            return Stored(device, BYTES, (("capture", "stream"),))
        case Message(route):
            return Stored(f"{device}/{route.source}", BYTES, _route_facts("message", route))
        case Values(_, route) if route != DEVICE:
            return Stored(f"{device}/{route.source}/samples", JSON, _route_facts("samples", route))
        case Values():
            return Stored(f"{device}/samples", JSON, (("capture", "samples"),))
        case Event():
            return Stored(f"{device}/events", JSON, (("capture", "events"),))


def _route_facts(kind: str, route: Route) -> tuple[tuple[str, str], ...]:
    facts = [("capture", kind), ("source", route.source)]
    if route.pattern is not None:
        facts.append(("pattern", route.pattern))
    if route.captures:
        facts.append(("captures", json.dumps(list(route.captures))))
    if route.is_retained:
        facts.append(("retained", "true"))
    if route.depends_on:
        facts.append(("depends_on", json.dumps(list(route.depends_on))))
    if route.scope >= 0:
        facts.append(("scope", str(route.scope)))
    if route.group:
        facts.append(("group", route.group))
    if route.device:
        facts.append(("device", route.device))
    return tuple(facts)


def _route_of(facts: Mapping[str, str]) -> Route:
    return Route(
        source=facts["source"],
        pattern=facts.get("pattern"),
        captures=tuple(json.loads(facts.get("captures", "[]"))),
        is_retained=facts.get("retained") == "true",
        depends_on=tuple(json.loads(facts.get("depends_on", "[]"))),
        scope=int(facts.get("scope", "-1")),
        group=facts.get("group", ""),
        device=facts.get("device", ""),
    )


def payload_of(what: What) -> bytes:
    """Return the payload of an arrival."""
    match what:
        case Piece(data):
            return data
        case Message(_, payload):
            return payload
        case Values(samples, _):
            return json.dumps({"samples": [_row(sample) for sample in samples]}).encode()
        case Event(kind, reason, detail):
            row = {"event": kind, "reason": reason, "detail": detail}
            return json.dumps({key: text for key, text in row.items() if text}).encode()


def _row(sample: Sample) -> list[object]:
    level, reason = sample.quality
    row: list[object] = [sample.field, sample.value, int(level), reason, sample.time_us]
    if sample.text is not None or sample.unit is not None:
        row += [sample.text, sample.unit]
    return row


def what_of(facts: Mapping[str, str], payload: bytes) -> What:
    """Restore an arrival.

    Raises:
        ValueError, KeyError, TypeError: It is no arrival.
    """
    kind = facts["capture"]
    if kind == "stream":
        return Piece(payload)
    if kind == "message":
        return Message(_route_of(facts), payload)
    row = json.loads(payload)
    if kind == "samples":
        rows = row["samples"]
        samples = tuple(
            Sample(f, v, Quality(Level(q), r), t, *more) for f, v, q, r, t, *more in rows
        )
        return Values(samples, _route_of(facts) if "source" in facts else DEVICE)
    if kind == "events":
        return Event(row["event"], row.get("reason", ""), row.get("detail", ""))
    raise ValueError(f"unknown kind {kind}")
