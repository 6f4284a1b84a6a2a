"""Control messages: requests from clients, read and checked; answers of the server, made.

`docs/protocol.md`, section 3, is the reference. Unknown fields are ignored, so that newer clients
can talk to older servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sensord.errors import ProtocolError
from sensord.model import Channel, Kind, Metadata, Position, ValueType
from sensord.topics import filter_fault
from sensord.wire.frames import EXACT, Message

__all__ = [
    "Ago",
    "Get",
    "Hello",
    "Ping",
    "Request",
    "Since",
    "Subscribe",
    "Unsubscribe",
    "announcement",
    "error",
    "from_announcement",
    "read_request",
    "request_id",
]

MAX_FILTERS = 64
MAX_NAME_CHARACTERS = 80

MAX_DECIMALS = 300
"""A client takes more than makes sense, but no scale that no float64 could be divided by."""

DEFAULT_LATENCY_S = 0.02
"""Long enough to gather a frame, short enough to be called live: see `docs/performance.md`."""


@dataclass(frozen=True, slots=True)
class Since:
    """Begin with the first reading logged at or after a time."""

    time_us: int


@dataclass(frozen=True, slots=True)
class Ago:
    """Begin this many microseconds before the server's present time."""

    us: int


Start = Literal["snapshot", "now"] | Position | Since | Ago


@dataclass(frozen=True, slots=True)
class Hello:
    """Introduce the client."""

    id: int
    client: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How a subscription is to be served; equal options and filters share their frames."""

    mode: Literal["every", "latest"] = "every"
    period_s: float = 0.0
    max_latency_s: float = DEFAULT_LATENCY_S
    deadband: float = 0.0


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Open or change a subscription."""

    id: int
    topics: tuple[str, ...]
    start: Start = "snapshot"
    options: Options = Options()
    change: int | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """End a subscription, or take filters out of it."""

    id: int
    subscription: int
    topics: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Get:
    """Ask for last values."""

    id: int
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for an answer."""

    id: int


Request = Hello | Subscribe | Unsubscribe | Get | Ping


def request_id(message: object) -> int | None:
    """Return the id of a message, if it has a usable one."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if type(found) is int and 0 <= found < EXACT else None


def read_request(message: object) -> Request:
    """Check one decoded message and make it a typed request.

    Raises:
        ProtocolError: With the code and the text of the error to answer.
    """
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        raise ProtocolError("bad_message", 'send a map with a text "op"')
    reader = _READERS.get(message["op"])
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise ProtocolError("unknown_op", f'there is no "{message["op"][:40]}"; known are {known}')
    if request_id(message) is None:
        raise ProtocolError("bad_request", "id: send an integer from 0 to 2^53-1")
    return reader(message)


def _bad(field: str, wanted: str) -> ProtocolError:
    return ProtocolError("bad_request", f"{field}: {wanted}")


def _hello(message: Message) -> Hello:
    client = message.get("client", "")
    if not isinstance(client, str) or len(client) > MAX_NAME_CHARACTERS:
        raise _bad("client", f"send a text of at most {MAX_NAME_CHARACTERS} characters")
    return Hello(message["id"], "".join(c for c in client if c.isprintable()))


def _subscribe(message: Message) -> Subscribe:
    change = message.get("change")
    if change is not None:
        if type(change) is not int:
            raise _bad("change", "send the id of an open subscription")
        if "from" in message:
            raise _bad("from", "a changed subscription goes on from where it is; leave it out")
    return Subscribe(
        message["id"], _topics(message), _start(message.get("from")), _options(message), change
    )


def _unsubscribe(message: Message) -> Unsubscribe:
    subscription = message.get("subscription")
    if type(subscription) is not int:
        raise _bad("subscription", "send the id of the subscribe request")
    topics = _topics(message) if message.get("topics") is not None else None
    return Unsubscribe(message["id"], subscription, topics)


def _get(message: Message) -> Get:
    return Get(message["id"], _topics(message))


def _ping(message: Message) -> Ping:
    return Ping(message["id"])


_READERS: dict[str, Callable[[Message], Request]] = {
    "hello": _hello,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "get": _get,
    "ping": _ping,
}


def _topics(message: Message) -> tuple[str, ...]:
    topics = message.get("topics")
    if not isinstance(topics, list) or not 1 <= len(topics) <= MAX_FILTERS:
        raise _bad("topics", f"send a list of 1 to {MAX_FILTERS} filters")
    for topic in topics:
        if not isinstance(topic, str):
            raise _bad("topics", "each filter is a text")
        if fault := filter_fault(topic):
            raise _bad("topics", f'"{topic[:80]}": {fault}')
    # Order and repetition say nothing; sorted, equal selections are equal.
    return tuple(sorted(set(topics)))


_AGO = re.compile(r"-(\d{1,9}(?:\.\d{1,6})?)([smhd])")
_UNIT_US = {"s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}


def _start(raw: object) -> Start:
    match raw:
        case None:
            return "snapshot"
        case "snapshot" | "now":
            return raw
        case str() if found := _AGO.fullmatch(raw):
            return Ago(int(float(found[1]) * _UNIT_US[found[2]]))
        # Types are compared exactly: True is an int to Python.
        case {"epoch": str(epoch), "offset": offset} if type(offset) is int and 0 <= offset < 2**63:
            return Position(epoch, offset)
        case {"time_us": time_us} if type(time_us) is int and abs(time_us) < 2**63:
            return Since(time_us)
    raise _bad("from", 'send "snapshot", "now", "-10m", {"epoch", "offset"} or {"time_us"}')


def _options(message: Message) -> Options:
    mode = message.get("mode", "every")
    if mode not in ("every", "latest"):
        raise _bad("mode", 'send "every" or "latest"')
    return Options(
        mode,
        _number(message, "period", 0.0, 0.0, 3600.0),
        _number(message, "max_latency", DEFAULT_LATENCY_S, 0.001, 60.0),
        _number(message, "deadband", 0.0, 0.0, 1e300),
    )


def _number(message: Message, field: str, default: float, low: float, high: float) -> float:
    raw = message.get(field, default)
    if type(raw) not in (int, float) or not low <= raw <= high:
        raise _bad(field, f"send a number from {low:g} to {high:g}")
    return float(raw)


def error(request: int | None, code: str, message: str) -> Message:
    """Make the answer to a request that failed."""
    return {"op": "error", "id": request, "code": code, "message": message}


_DEFAULT = Metadata()


def announcement(channel: Channel) -> Message:
    """Describe a channel for a ``channels`` message, defaults left out."""
    metadata = channel.metadata
    told: Message = {"channel": channel.number, "topic": channel.topic}
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
