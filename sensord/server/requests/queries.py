"""Answers to queries of known or recorded readings; and ``ping``, and ``cancel``.

An answer that continues with new readings is a subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sensord.errors import ProtocolError
from sensord.model.readings import Record
from sensord.server.open import listing
from sensord.server.open.caller import Caller
from sensord.server.open.parts import Parts
from sensord.server.open.promise import Promise
from sensord.server.packets import announcements, frames
from sensord.server.past.history import History
from sensord.server.past.stretch import Past
from sensord.server.past.summaries import Summaries
from sensord.server.requests.subscriptions import open_subscription
from sensord.wire.frames import Codec
from sensord.wire.ops import Request, Result, queries
from sensord.wire.ops.session import Bye, Cancel, Clock, Ping
from sensord.wire.ops.subscriptions import Opened, Options

__all__ = ["HANDLERS"]


def bye(caller: Caller, request: Bye) -> None:
    """Make the client ephemeral: it is gone as soon as its connections have ended."""
    member = caller.shared.sharing.presence.find(caller.identity.id)
    assert member is not None, "it has said hello and is here"
    member.is_ephemeral = True
    caller.send(Result(request.id))


def ping(caller: Caller, request: Ping) -> None:
    """Answer with the gateway's time."""
    caller.send(Clock(request.id, caller.shared.bus.now_us()))


def cancel(caller: Caller, request: Cancel) -> None:
    """End an open request."""
    found = caller.ongoing.get(request.request)
    if found is None:
        raise ProtocolError("not_found", f"there is no open request {request.request}")
    if isinstance(found, Promise):
        if not found.cancel():
            text = f"request {request.request} is answered as soon as the disk has it"
            raise ProtocolError("not_found", text)
        caller.send(Result(request.id))
        return
    caller.send(Result(request.id))
    caller.end(request.request)
    caller.subscriptions_changed()


def get(caller: Caller, request: queries.Get) -> None:
    """Answer with last values."""
    if request.is_following:
        open_subscription(caller, request.id, request.topics, Options(), "snapshot")
        return
    bus = caller.shared.bus
    stream = caller.shared.groups.next_stream()
    records = [r for c in bus.select(request.topics) if (r := bus.last(c)) is not None]
    parts = Parts(request.id, caller, _packets(caller.codec, stream, records))
    caller.keep(request.id, parts)
    caller.send(Opened(request.id, stream))
    parts.begin()


def _packets(codec: Codec, stream: int, records: Sequence[Record]) -> Iterator[bytes]:
    yield from announcements(codec, [record.channel for record in records])
    for _, data in frames(codec, stream, None, records):
        yield data


def history(caller: Caller, request: queries.History) -> None:
    """Answer with readings of the past, or their summaries."""
    number, topics, limit = request.id, request.topics, request.limit
    past: Past
    if request.interval_s is not None:
        is_following = request.is_following
        interval_s = request.interval_s
        past = Summaries(number, caller, topics, interval_s, limit, is_following=is_following)
    elif request.is_following:
        open_subscription(caller, number, topics, Options(), request.start)
        return
    else:
        past = History(number, caller, topics, limit)
    caller.keep(number, past)
    bus = caller.shared.bus
    log, now_us = bus.log, bus.now_us()
    caller.send(queries.HistoryOpened(number, past.stream, log.epoch, log.tail, now_us))
    past.begin(request.start, request.stop)


def topics(caller: Caller, request: queries.Topics) -> None:
    """Answer with topics and their metadata."""
    filters, is_following = request.topics, request.is_following
    _list(caller, request, listing.Topics(request.id, caller, filters, is_following=is_following))


def devices(caller: Caller, request: queries.Devices) -> None:
    """Answer with devices."""
    _list(caller, request, listing.Devices(request.id, caller, is_following=request.is_following))


def clients(caller: Caller, request: queries.Clients) -> None:
    """Answer with clients."""
    _list(caller, request, listing.Clients(request.id, caller, is_following=request.is_following))


def _list(caller: Caller, request: Request[Result], rows: listing.Listing) -> None:
    caller.keep(request.id, rows)
    caller.send(Result(request.id))
    rows.begin()


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Cancel: cancel,
    Bye: bye,
    Ping: ping,
    queries.Get: get,
    queries.History: history,
    queries.Topics: topics,
    queries.Devices: devices,
    queries.Clients: clients,
}
