"""Answers to those who ask what is known: ``get`` and ``ping``; and ``cancel``, which ends any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sensord.errors import ProtocolError
from sensord.model import Record
from sensord.server.caller import Caller
from sensord.server.group import announcements, frames
from sensord.server.parts import Parts
from sensord.server.promise import Promise
from sensord.wire.frames import Codec
from sensord.wire.requests import Request
from sensord.wire.requests.greeting import Cancel, Ping
from sensord.wire.requests.queries import Get

__all__ = ["HANDLERS"]


def ping(caller: Caller, request: Ping) -> None:
    """Tell the clock."""
    caller.result(request.id, time_us=caller.shared.bus.now_us())


def cancel(caller: Caller, request: Cancel) -> None:
    """End an open request."""
    found = caller.ongoing.get(request.request)
    if found is None or isinstance(found, Promise):
        raise ProtocolError("not_found", f"there is no open request {request.request}")
    caller.result(request.id)
    caller.end(request.request)
    caller.watching()


def get(caller: Caller, request: Get) -> None:
    """Answer with last values."""
    bus = caller.shared.bus
    stream = caller.shared.groups.next_stream()
    records = [r for c in bus.select(request.topics) if (r := bus.last(c)) is not None]
    parts = Parts(request.id, caller, _packets(caller.codec, stream, records))
    caller.keep(request.id, parts)
    caller.result(request.id, stream=stream)
    parts.begin()


def _packets(codec: Codec, stream: int, records: Sequence[Record]) -> Iterator[bytes]:
    yield from announcements(codec, [record.channel for record in records])
    for _, data in frames(codec, stream, None, records):
        yield data


HANDLERS: Mapping[type[Request], Callable[[Caller, Any], None]] = {
    Cancel: cancel,
    Get: get,
    Ping: ping,
}
