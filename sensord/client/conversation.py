"""The client's side of the protocol: turns the server's messages into events. Pure.

Keeps the announced channels, the request of each stream, and the position where each request would
resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sensord.errors import ProtocolError
from sensord.model.readings import Channel, Position, Reading, Value
from sensord.model.sights import Sight
from sensord.wire import ops
from sensord.wire.frames import Codec
from sensord.wire.ops import acting, messages, queries, services, session, sniff, subscriptions
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
    later than the value's own time. ``is_last_value`` marks the values of the snapshot.
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
    """Readings that a subscription asked for and does not get; see `docs/protocol.md`, 3.3."""

    reason: str
    start: int | None
    stop: int | None
    count: int | None
    lost: dict[str, int] | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """A change of a subscription's phase: snapshot, catching_up, lagging or live."""

    phase: str


Item = Update | Gap | PhaseChange
"""The items of a subscription."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one channel's readings in one interval; see `docs/protocol.md`, 3.2.

    ``time_us`` is the beginning of the interval. Only numbers have ``minimum``, ``maximum`` and
    ``mean``.
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
    """A row on a topic, a device or a client; see `docs/protocol.md`, 3.2."""

    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Complete:
    """The mark where the answer is complete; changes follow from here."""


@dataclass(frozen=True, slots=True)
class Again:
    """The mark after a lost connection: discard the rows, all of them are sent again."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call of a service that this client offers; ``timeout_s`` is the remaining time."""

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
    """A message from another client; ``to`` is the receiver as the sender gave it."""

    number: int
    sender_id: str
    sender_name: str
    to: dict[str, str]
    time_us: int
    body: Value


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A request succeeded; the type of the result follows from the request."""

    request: int
    result: ops.Result


@dataclass(frozen=True, slots=True)
class Refused:
    """A request failed."""

    request: int | None
    error: ProtocolError


@dataclass(frozen=True, slots=True)
class Ended:
    """An open request ended.

    For a history, it has the position where another one would continue, and whether it is complete.
    """

    request: int
    resume: Position | None = None
    is_complete: bool | None = None


@dataclass(frozen=True, slots=True)
class Items:
    """Items of one request. ``resume`` is where it continues after them, if known."""

    request: int
    items: Sequence[Item | Summary | Row | Complete | Called | Part | Message | Receipt | Sight]
    resume: Position | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A `set` or `call` ended with an outcome."""

    request: int
    outcome: acting.Outcome


Event = Decided | Succeeded | Refused | Ended | Items


class Conversation:
    """One connection's side of the protocol."""

    def __init__(self, codec: Codec) -> None:
        self.epoch = ""
        self._codec = codec
        self._asked: dict[int, ops.Request[ops.Result]] = {}  # unanswered
        self._channels: dict[int, Channel] = {}
        self._requests: dict[int, int] = {}  # stream -> request
        self._snapshots: set[int] = set()  # streams that now carry last values

    def asked(self, request: ops.Request[ops.Result]) -> None:
        """Record a sent request, whose type decodes its result."""
        self._asked[request.id] = request

    def received(self, payload: bytes) -> Event | None:
        """Process one message; return its event, or None if it needs no action.

        Raises:
            ProtocolError: The message violates the protocol.
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
            return None  # the stream ended while this frame was on its way
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
                    # A repeated announcement is the same channel: keep the known object.
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
        """Return the items of an open request, in the order of sending."""
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
            case sniff.Sights(_, sights):
                return Items(number, sights, None)
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
