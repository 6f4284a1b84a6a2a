"""The requests ``publish``, ``put`` and ``delete``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.server.open.caller import Caller
from sensord.server.open.promise import Promise
from sensord.sharing.state import Change, Outcome
from sensord.wire.ops import Request, Result
from sensord.wire.ops.base import Sendable
from sensord.wire.ops.session import Error
from sensord.wire.ops.state import Delete, Publish, Published, Put, Version

__all__ = ["HANDLERS"]


def publish(caller: Caller, request: Publish) -> None:
    """Publish a reading for a client."""
    leases, who, topic = caller.shared.control.leases, caller.identity, request.topic
    leases.check(topic, who)
    is_held = leases.find(topic) is not None
    publishing = caller.shared.sharing.publishing
    record = publishing.publish(who, topic, request.value, request.time_us, is_held=is_held)
    caller.send(Published(request.id, record.offset))


def put(caller: Caller, request: Put) -> None:
    """Write shared state."""
    _change(caller, request, value=request.value)


def delete(caller: Caller, request: Delete) -> None:
    """Delete shared state."""
    _change(caller, request, deletes=True)


def _change(
    caller: Caller, request: Put | Delete, *, value: Value = None, deletes: bool = False
) -> None:
    """Answer when the change is on the disk; it is made even if its client leaves."""
    promise = Promise(request.id, caller)
    caller.keep(request.id, promise)

    def over(outcome: Outcome) -> None:
        promise.answer(lambda: _answer(request.id, outcome))

    version, topic, who = request.version, request.topic, caller.identity
    permit = partial(caller.shared.control.leases.check, topic, who)
    try:
        caller.shared.sharing.state.change(
            Change(topic, who, version, over, value, deletes, permit)
        )
    except ProtocolError as exc:
        over(exc)


def _answer(number: int, outcome: Outcome) -> Sendable:
    if isinstance(outcome, int):
        return Version(number, outcome)
    return Error.of(number, outcome)


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Publish: publish,
    Put: put,
    Delete: delete,
}
