"""The request ``sniff``, and what it shows of a device's connection."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.model.readings import GOOD, Level, Quality, Value
from sensord.model.sights import MOST_SHOWN, Sight, What
from sensord.wire.fields import topic
from sensord.wire.frames import Message
from sensord.wire.ops.base import Action, Answer, Request, Result

__all__ = ["ANSWERS", "REQUESTS", "Sights", "Sniff", "SniffOpened"]

_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class SniffOpened(Result):
    """The result of ``sniff``: whose connection is shown."""

    connection: str

    def _fields(self) -> Message:
        return {"connection": self.connection}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``sniff``."""
        return cls(message["id"], str(message["connection"]))


@dataclass(frozen=True, slots=True)
class Sniff(Request[SniffOpened]):
    """Ask for what a device's connection carries."""

    op: ClassVar[str] = "sniff"
    action: ClassVar[Action] = Action.ADMIN

    device: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """The device."""
        return (self.device,)

    def _fields(self) -> Message:
        return {"device": self.device}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], topic(message, "device"))

    def result(self, message: Mapping[str, Any]) -> SniffOpened:
        """Read the result."""
        return SniffOpened.read(message)


@dataclass(frozen=True, slots=True)
class Sights(Answer):
    """What was seen, in its order."""

    op: ClassVar[str] = "sights"

    sights: Sequence[Sight]

    def _fields(self) -> Message:
        return {"sights": [_written(one) for one in self.sights]}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message; sights of a newer server are left out."""
        known = [one for one in message["sights"] if one["what"] in _KNOWN]
        return cls(message["id"], [_read(one) for one in known])


_KNOWN = {what.value for what in What}


def _written(sight: Sight) -> Message:
    row: Message = {"time_us": sight.time_us, "what": sight.what.value}
    match sight.what:
        case What.RECEIVED | What.SENT | What.MESSAGE:
            row["hex"] = sight.data.hex()
            if sight.length != len(sight.data):
                row["bytes"] = sight.length
            if sight.source:
                row["source"] = _plain(sight.source)
            if sight.is_retained:
                row["retained"] = True
        case What.VALUE:
            row["topic"] = sight.topic
            row |= _value(sight.value)
            if sight.unit:
                row["unit"] = sight.unit
            if sight.quality != GOOD:
                row |= {"level": int(sight.quality.level), "reason": sight.quality.reason}
        case What.FAULT:
            row |= {"reason": _plain(sight.reason), "detail": _plain(sight.detail)}
        case What.UP | What.DOWN:
            row["detail"] = _plain(sight.detail)
        case What.DROPPED:
            row["count"] = sight.count
    return row


def _value(value: Value) -> Message:
    """Return a plain value, or any other one as text: it is looked at, not calculated with."""
    match value:
        case None | bool():
            return {"value": value}
        case int() if value in _INT64:
            return {"value": value}
        case float() if math.isfinite(value):
            return {"value": value}
        case str() if len(value) <= MOST_SHOWN:
            return {"value": _plain(value)}
        case _:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return {"value": None, "text": _plain(text)}


def _plain(text: str) -> str:
    """Return a text that can be sent, of a bounded length."""
    return text[:MOST_SHOWN].encode("utf-8", "replace").decode()


def _read(row: Mapping[str, Any]) -> Sight:
    data = bytes.fromhex(row.get("hex", ""))
    value = row.get("value")
    return Sight(
        row["time_us"],
        What(row["what"]),
        data=data,
        length=row.get("bytes", len(data)),
        source=row.get("source", ""),
        is_retained=row.get("retained", False),
        topic=row.get("topic", ""),
        unit=row.get("unit", ""),
        value=row.get("text", value),
        quality=Quality(Level(row["level"]), row.get("reason", "")) if "level" in row else GOOD,
        reason="" if "level" in row else row.get("reason", ""),
        detail=row.get("detail", ""),
        count=row.get("count", 0),
    )


REQUESTS = (Sniff,)
ANSWERS = (Sights,)
