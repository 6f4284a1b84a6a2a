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
    told: Message = {"time_us": sight.time_us, "what": sight.what.value}
    match sight.what:
        case What.RECEIVED | What.SENT | What.MESSAGE:
            told["hex"] = sight.data.hex()
            if sight.length != len(sight.data):
                told["bytes"] = sight.length
            if sight.source:
                told["source"] = _plain(sight.source)
            if sight.is_retained:
                told["retained"] = True
        case What.VALUE:
            told["topic"] = sight.topic
            told |= _value(sight.value)
            if sight.unit:
                told["unit"] = sight.unit
            if sight.quality != GOOD:
                told |= {"level": int(sight.quality.level), "reason": sight.quality.reason}
        case What.FAULT:
            told |= {"reason": _plain(sight.reason), "detail": _plain(sight.detail)}
        case What.UP | What.DOWN:
            told["detail"] = _plain(sight.detail)
        case What.DROPPED:
            told["count"] = sight.count
    return told


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


def _read(told: Mapping[str, Any]) -> Sight:
    data = bytes.fromhex(told.get("hex", ""))
    value = told.get("value")
    return Sight(
        told["time_us"],
        What(told["what"]),
        data=data,
        length=told.get("bytes", len(data)),
        source=told.get("source", ""),
        is_retained=told.get("retained", False),
        topic=told.get("topic", ""),
        unit=told.get("unit", ""),
        value=told.get("text", value),
        quality=Quality(Level(told["level"]), told.get("reason", "")) if "level" in told else GOOD,
        reason="" if "level" in told else told.get("reason", ""),
        detail=told.get("detail", ""),
        count=told.get("count", 0),
    )


REQUESTS = (Sniff,)
ANSWERS = (Sights,)
