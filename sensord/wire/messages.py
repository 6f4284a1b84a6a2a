"""Control messages of the server: errors and announcements, made and read back.

`docs/protocol.md`, section 3.3, is the reference.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sensord.errors import ProtocolError
from sensord.model.readings import Channel, Kind, Metadata, Value, ValueType
from sensord.sharing.identity import Identity
from sensord.wire.frames import Message

__all__ = [
    "Phase",
    "announcement",
    "complete",
    "description",
    "error",
    "from_announcement",
    "gap",
    "outcome",
    "part",
    "phase_change",
    "request",
    "rows",
    "summary",
]


class Phase(enum.StrEnum):
    """Where a subscription or replay stands."""

    SNAPSHOT = "snapshot"
    CATCHING_UP = "catching_up"
    LAGGING = "lagging"
    LIVE = "live"
    REPLAYING = "replaying"
    PAUSED = "paused"


MAX_DECIMALS = 300
"""A client takes more than makes sense, but no scale that no float64 could be divided by."""


def error(
    request: int | None, code: str, message: str, present: Mapping[str, object] | None = None
) -> Message:
    """Make the answer to a request that failed."""
    told: Message = {"op": "error", "id": request, "code": code, "message": message}
    if present is not None:
        told["present"] = dict(present)
    return told


def phase_change(request: int, stream: int, phase: Phase, cursor: int | None) -> Message:
    """Tell where a subscription or replay stands, and which stream it goes on with."""
    return {"op": "stream", "id": request, "stream": stream, "phase": phase.value, "cursor": cursor}


def outcome(
    request: int, value: Value, reason: str, message: str, *, may_have_acted: bool
) -> Message:
    """Tell how a `set` or `call` ended: done with a value unless there is a reason."""
    if not reason:
        return {"op": "outcome", "id": request, "status": "done", "value": value}
    return {
        "op": "outcome",
        "id": request,
        "status": "failed",
        "reason": reason,
        "message": message,
        "may_have_acted": may_have_acted,
    }


def part(request: int, number: int, value: Value) -> Message:
    """Tell a part of the answer to a `call`; they are counted from 0."""
    return {"op": "part", "id": request, "number": number, "value": value}


def request(
    serving: int, call: int, name: str, args: Mapping[str, Value], who: Identity, timeout_s: float
) -> Message:
    """Ask a service to do what it is called for; ``timeout_s`` is the time that is left."""
    return {
        "op": "request",
        "id": serving,
        "call": call,
        "name": name,
        "args": dict(args),
        "from": {"id": who.id, "name": who.name},
        "timeout": timeout_s,
    }


def gap(
    request: int,
    stream: int,
    start: int | None,
    stop: int | None,
    reason: str,
    lost: Counter[str] | None,
    detail: str,
) -> Message:
    """Name readings that were asked for and do not come; ``lost`` is by topic, if it is known."""
    message: Message = {
        "op": "gap",
        "id": request,
        "stream": stream,
        "from": start,
        "to": stop,
        "reason": reason,
        "count": None if lost is None else lost.total(),
        "lost": None if lost is None else dict(lost),
    }
    if detail:
        message["detail"] = detail
    return message


def summary(request: int, cursor: int | None, intervals: Sequence[Message]) -> Message:
    """Tell intervals of a history; ``cursor`` is where it would go on, unless more of them come."""
    return {"op": "summary", "id": request, "cursor": cursor, "rows": intervals}


def rows(request: int, some: Sequence[Message]) -> Message:
    """Tell topics, devices or clients."""
    return {"op": "rows", "id": request, "rows": some}


def complete(request: int, cursor: int | None = None) -> Message:
    """Say that what was asked for is told, and changes follow from here."""
    message: Message = {"op": "complete", "id": request}
    if cursor is not None:
        message["cursor"] = cursor
    return message


_DEFAULT = Metadata()


def announcement(channel: Channel) -> Message:
    """Describe a channel for a ``channels`` message, defaults left out."""
    return {"channel": channel.number, **description(channel)}


def description(channel: Channel) -> Message:
    """Describe a topic, defaults left out."""
    metadata = channel.metadata
    told: Message = {"topic": channel.topic}
    if metadata.type is not _DEFAULT.type:
        told["type"] = metadata.type.value
    if metadata.kind is not _DEFAULT.kind:
        told["kind"] = metadata.kind.value
    if metadata.decimals is not None:
        told["decimals"] = metadata.decimals
    for field in ("unit", "description", "device"):
        if text := getattr(metadata, field):
            told[field] = text
    return told


def from_announcement(told: Mapping[str, Any]) -> Channel:
    """Read one map of a ``channels`` message.

    Raises:
        ProtocolError: It is not one.
    """
    try:
        number, topic, decimals = told["channel"], told["topic"], told.get("decimals")
        unit, description, device = (
            told.get(field, "") for field in ("unit", "description", "device")
        )
        if not all(isinstance(text, str) for text in (topic, unit, description, device)):
            raise TypeError("topic, unit, description and device are texts")
        if type(number) is not int or not (decimals is None or type(decimals) is int):
            raise TypeError("channel and decimals are integers")
        if decimals is not None and not 0 <= decimals <= MAX_DECIMALS:
            raise ValueError(f"decimals are 0 to {MAX_DECIMALS}")
        metadata = Metadata(
            type=ValueType(told.get("type", "float")),
            unit=unit,
            decimals=decimals,
            kind=Kind(told.get("kind", "state")),
            description=description,
            device=device,
        )
        return Channel(number, topic, metadata)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ProtocolError("bad_message", f"not a channel: {exc!r}") from exc
