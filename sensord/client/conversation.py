"""What a client makes of the server's messages, pure: no sockets, no clock.

Keeps the channels that were announced, which stream belongs to which request, and where each
request would resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sensord.errors import ProtocolError
from sensord.model.readings import Channel, Position, Reading, Value
from sensord.wire.frames import Codec
from sensord.wire.messages import from_announcement

__all__ = [
    "Again",
    "Called",
    "Complete",
    "Conversation",
    "Ended",
    "Event",
    "Gap",
    "Item",
    "Items",
    "Mail",
    "Outcome",
    "Part",
    "PhaseChange",
    "Receipt",
    "Refused",
    "Result",
    "Row",
    "Summary",
    "Update",
]


class Update(NamedTuple):
    """A reading that arrived.

    ``told_us`` is when it was said; for a reading that restates an older value that is later than
    the value's own time. ``is_last_value`` marks the snapshot: it was known before the start.
    """

    channel: Channel
    reading: Reading
    told_us: int
    is_last_value: bool

    @property
    def topic(self) -> str:
        """The topic of its channel."""
        return self.channel.topic


@dataclass(frozen=True, slots=True)
class Gap:
    """Readings that were asked for and do not come; see `docs/protocol.md`, 3.3."""

    reason: str
    start: int | None
    stop: int | None
    count: int | None
    lost: dict[str, int] | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """The subscription goes on in another phase: snapshot, catching_up, lagging or live."""

    phase: str


Item = Update | Gap | PhaseChange
"""What a subscription yields."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the readings of one channel come to in one interval; see `docs/protocol.md`, 3.2.

    ``time_us`` is where the interval begins. ``minimum``, ``maximum`` and ``mean`` are of numbers
    only.
    """

    channel: Channel
    time_us: int
    count: int
    first: Value
    last: Value
    minimum: float | None
    maximum: float | None
    mean: float | None

    @property
    def topic(self) -> str:
        """The topic of its channel."""
        return self.channel.topic


@dataclass(frozen=True, slots=True)
class Row:
    """A topic, a device or a client: what is known of it, as `docs/protocol.md`, 3.2, says."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Complete:
    """What was asked for has been told; what changes follows from here."""


@dataclass(frozen=True, slots=True)
class Again:
    """The connection was lost: forget the rows, for all of them come anew."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a service that this client offers; ``timeout_s`` is the time that is left."""

    call: int
    args: dict[str, Value]
    caller_id: str
    caller_name: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the answer to a `call`, counted from 0."""

    number: int
    value: Value


@dataclass(frozen=True, slots=True)
class Mail:
    """A message of another client; ``to`` says whom it is for, as the sender gave it."""

    number: int
    sender_id: str
    sender_name: str
    to: dict[str, str]
    time_us: int
    body: Value


@dataclass(frozen=True, slots=True)
class Receipt:
    """What becomes of a message with one receiver; see `docs/protocol.md`, section 3.9."""

    client: str
    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A request succeeded."""

    request: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A request failed."""

    request: int | None
    error: ProtocolError


@dataclass(frozen=True, slots=True)
class Ended:
    """A request is over; of a history is known where another would go on, and if it is complete."""

    request: int
    resume: Position | None = None
    is_complete: bool | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """What arrived for one request. ``resume`` is where it goes on after them, if known."""

    request: int
    items: Sequence[Item | Summary | Row | Complete | Called | Part | Mail | Receipt]
    resume: Position | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A `set` or `call` has ended, in one way or the other."""

    request: int
    fields: dict[str, Any]


Event = Outcome | Result | Refused | Ended | Items


class Conversation:
    """One connection's side of the protocol."""

    def __init__(self, codec: Codec) -> None:
        self.epoch = ""
        self._codec = codec
        self._channels: dict[int, Channel] = {}
        self._requests: dict[int, int] = {}  # stream -> request
        self._snapshots: set[int] = set()  # streams that carry last values at present

    def received(self, payload: bytes) -> Event | None:
        """Take one message; return what it means, or None if nothing is to be done.

        Raises:
            ProtocolError: The server does not keep to the protocol.
        """
        message = self._codec.decode(payload)
        if isinstance(message, list):
            return self._frame(message)
        if not isinstance(message, dict):
            raise ProtocolError("bad_message", "neither a frame nor a control message")
        try:
            return self._control(message)
        except (KeyError, TypeError, ValueError) as exc:
            raise ProtocolError("bad_message", f"incomplete message: {message!r}"[:200]) from exc

    def _frame(self, message: Sequence[object]) -> Event | None:
        frame = self._codec.read_frame(message, lambda number: self._channels[number].metadata)
        request = self._requests.get(frame.stream)
        if request is None:
            return None  # a stream that was ended while this frame was on its way
        is_last_value = frame.stream in self._snapshots
        items: list[Item] = [
            Update(self._channels[channel], reading, told_us, is_last_value)
            for channel, told_us, reading in frame.readings
        ]
        return Items(request, items, self._position(frame.cursor))

    def _position(self, offset: int | None) -> Position | None:
        return None if offset is None else Position(self.epoch, offset)

    def _control(self, message: dict[str, Any]) -> Event | None:
        match message.get("op"):
            case "channels":
                for told in message["channels"]:
                    channel = from_announcement(told)
                    # Announced again, it is the same: keep the object that is known.
                    self._channels.setdefault(channel.number, channel)
                return None
            case "result":
                self.epoch = message.get("epoch", self.epoch)
                if "stream" in message:
                    self._requests[message["stream"]] = message["id"]
                    self._snapshots.add(message["stream"])
                return Result(message["id"], message)
            case "error":
                error = ProtocolError(message["code"], message["message"], message.get("present"))
                return Refused(message["id"], error)
            case "outcome":
                return Outcome(message["id"], message)
            case "end":
                resume = self._position(message.get("cursor"))
                return Ended(message["id"], resume, message.get("complete"))
            case _:
                return self._brought(message)

    def _brought(self, message: dict[str, Any]) -> Items | None:
        """Read what belongs to an open request, in the order in which it was sent."""
        match message.get("op"):
            case "stream":
                return self._stream(message)
            case "gap":
                gap = Gap(
                    message["reason"],
                    message["from"],
                    message["to"],
                    message["count"],
                    message["lost"],
                    message.get("detail", ""),
                )
                return Items(message["id"], [gap], self._position(message["to"]))
            case "summary":
                rows = [self._summary(row) for row in message["rows"]]
                return Items(message["id"], rows, self._position(message["cursor"]))
            case "rows":
                return Items(message["id"], [Row(dict(row)) for row in message["rows"]], None)
            case "request":
                who, left_s = message["from"], float(message["timeout"])
                called = Called(
                    message["call"], dict(message["args"]), who["id"], who["name"], left_s
                )
                return Items(message["id"], [called], None)
            case "part":
                return Items(message["id"], [Part(message["number"], message["value"])], None)
            case "message":
                who = message["from"]
                mail = Mail(
                    message["message"],
                    who["id"],
                    who["name"],
                    dict(message["to"]),
                    message["time_us"],
                    message["body"],
                )
                return Items(message["id"], [mail], None)
            case "receipt":
                receipts = [
                    Receipt(told["client"], told["status"], told.get("reason", ""))
                    for told in message["receipts"]
                ]
                return Items(message["id"], receipts, None)
            case "complete":
                return Items(message["id"], [Complete()], self._position(message.get("cursor")))
            case _:
                return None  # from a newer server

    def _summary(self, row: dict[str, Any]) -> Summary:
        return Summary(
            self._channels[row["channel"]],
            row["time_us"],
            row["count"],
            row["first"],
            row["last"],
            row.get("min"),
            row.get("max"),
            row.get("mean"),
        )

    def _stream(self, message: dict[str, Any]) -> Items:
        stream, request = message["stream"], message["id"]
        for known in [s for s, r in self._requests.items() if r == request]:
            del self._requests[known]
            self._snapshots.discard(known)
        self._requests[stream] = request
        if message["phase"] == "snapshot":
            self._snapshots.add(stream)
        change = PhaseChange(message["phase"])
        return Items(request, [change], self._position(message.get("cursor")))
