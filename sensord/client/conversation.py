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
from sensord.wire import ops
from sensord.wire.frames import Codec
from sensord.wire.ops import acting, messages, queries, services, session, subscriptions
from sensord.wire.ops.messages import Receipt

__all__ = [
    "Again",
    "Called",
    "Complete",
    "Conversation",
    "Decided",
    "Ended",
    "Event",
    "Gap",
    "Item",
    "Items",
    "Message",
    "Part",
    "PhaseChange",
    "Receipt",
    "Refused",
    "Row",
    "Succeeded",
    "Summary",
    "Update",
]


class Update(NamedTuple):
    """A reading that arrived.

    ``reported_us`` is when it was reported; for a reading that restates an older value, that is
    later than the value's own time. ``is_last_value`` marks the snapshot: it was known before.
    """

    channel: Channel
    reading: Reading
    reported_us: int
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
class Message:
    """A message of another client; ``to`` says whom it is for, as the sender gave it."""

    number: int
    sender_id: str
    sender_name: str
    to: dict[str, str]
    time_us: int
    body: Value


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A request succeeded, with the result that its type has."""

    request: int
    result: ops.Result


@dataclass(frozen=True, slots=True)
class Refused:
    """A request failed."""

    request: int | None
    error: ProtocolError


@dataclass(frozen=True, slots=True)
class Ended:
    """A request is over.

    A history says where another one would continue, and whether it is complete.
    """

    request: int
    resume: Position | None = None
    is_complete: bool | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """What arrived for one request. ``resume`` is where it continues after them, if known."""

    request: int
    items: Sequence[Item | Summary | Row | Complete | Called | Part | Message | Receipt]
    resume: Position | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A `set` or `call` has ended, in one way or the other."""

    request: int
    outcome: acting.Outcome


Event = Decided | Succeeded | Refused | Ended | Items


class Conversation:
    """One connection's side of the protocol."""

    def __init__(self, codec: Codec) -> None:
        self.epoch = ""
        self._codec = codec
        self._asked: dict[int, ops.Request[ops.Result]] = {}  # those without an answer
        self._channels: dict[int, Channel] = {}
        self._requests: dict[int, int] = {}  # stream -> request
        self._snapshots: set[int] = set()  # streams that carry last values at present

    def asked(self, request: ops.Request[ops.Result]) -> None:
        """Note a request that is sent: its type reads its result."""
        self._asked[request.id] = request

    def received(self, payload: bytes) -> Event | None:
        """Accept one message; return what it means, or None if nothing is to be done.

        Raises:
            ProtocolError: The server does not keep to the protocol.
        """
        message = self._codec.decode(payload)
        if isinstance(message, list):
            return self._frame(message)
        if not isinstance(message, dict):
            raise ProtocolError("bad_message", "neither a frame nor a control message")
        try:
            if message.get("op") == ops.Result.op:
                return self._result(message)
            return self._answer(ops.read_answer(message))
        except (KeyError, TypeError, ValueError) as exc:
            raise ProtocolError("bad_message", f"incomplete message: {message!r}"[:200]) from exc

    def _frame(self, message: Sequence[object]) -> Event | None:
        frame = self._codec.read_frame(message, lambda number: self._channels[number].metadata)
        request = self._requests.get(frame.stream)
        if request is None:
            return None  # a stream that was ended while this frame was on its way
        is_last_value = frame.stream in self._snapshots
        items: list[Item] = [
            Update(self._channels[channel], reading, reported_us, is_last_value)
            for channel, reported_us, reading in frame.readings
        ]
        return Items(request, items, self._position(frame.cursor))

    def _position(self, offset: int | None) -> Position | None:
        return None if offset is None else Position(self.epoch, offset)

    def _result(self, message: dict[str, Any]) -> Event:
        asked = self._asked.pop(message["id"], None)
        result = ops.Result.read(message) if asked is None else asked.result(message)
        match result:
            case session.Welcome(epoch=epoch):
                self.epoch = epoch
            case (
                subscriptions.Opened(stream=int(stream)) | queries.HistoryOpened(stream=int(stream))
            ):
                self._requests[stream] = result.id
                self._snapshots.add(stream)
        return Succeeded(result.id, result)

    def _answer(
        self, answer: ops.Answer | session.Error | subscriptions.Channels | None
    ) -> Event | None:
        match answer:
            case subscriptions.Channels(channels):
                for channel in channels:
                    # Announced again, it is the same: keep the object that is known.
                    self._channels.setdefault(channel.number, channel)
                return None
            case session.Error(number):
                if number is not None:
                    self._asked.pop(number, None)
                return Refused(number, answer.as_error())
            case session.End(number, cursor, is_complete):
                return Ended(number, self._position(cursor), is_complete)
            case acting.Outcome(number):
                return Decided(number, answer)
            case subscriptions.StreamChange():
                return self._stream(answer)
            case None:
                return None  # from a newer server
            case _:
                return self._items(answer)

    def _items(self, answer: ops.Answer) -> Items | None:
        """Return what belongs to an open request, in the order in which it was sent."""
        number = answer.id
        match answer:
            case subscriptions.Gap(_, _, start, stop, reason, lost, detail):
                lost = None if lost is None else dict(lost)
                gap = Gap(reason, start, stop, answer.count, lost, detail)
                return Items(number, [gap], self._position(stop))
            case queries.Summary(_, cursor, rows):
                return Items(number, [self._summary(row) for row in rows], self._position(cursor))
            case queries.Rows(_, rows):
                return Items(number, [Row(row) for row in rows], None)
            case queries.Complete(_, cursor):
                return Items(number, [Complete()], self._position(cursor))
            case services.Called(_, call, _, args, caller, timeout_s):
                called = Called(call, dict(args), caller.id, caller.name, timeout_s)
                return Items(number, [called], None)
            case acting.Part(_, part, value):
                return Items(number, [Part(part, value)], None)
            case messages.Delivery(_, message, sender, to, time_us, body):
                sent = Message(message, sender.id, sender.name, dict(to), time_us, body)
                return Items(number, [sent], None)
            case messages.Receipts(_, receipts):
                return Items(number, receipts, None)
        return None

    def _summary(self, row: queries.SummaryRow) -> Summary:
        minimum, maximum, mean = row.statistics or (None, None, None)
        return Summary(
            self._channels[row.channel],
            row.time_us,
            row.count,
            row.first,
            row.last,
            minimum,
            maximum,
            mean,
        )

    def _stream(self, change: subscriptions.StreamChange) -> Items:
        for known in [s for s, r in self._requests.items() if r == change.id]:
            del self._requests[known]
            self._snapshots.discard(known)
        self._requests[change.stream] = change.id
        if change.phase == subscriptions.Phase.SNAPSHOT:
            self._snapshots.add(change.stream)
        return Items(change.id, [PhaseChange(change.phase)], self._position(change.cursor))
