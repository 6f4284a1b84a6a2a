"""Requests from clients, read and checked: one module a family.

`docs/protocol.md`, section 3.2, is the reference. Unknown fields are ignored, so that newer clients
can talk to older servers.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable

from sensord.errors import ProtocolError
from sensord.wire.frames import EXACT, Message
from sensord.wire.requests import (
    control,
    greeting,
    messages,
    queries,
    replay,
    services,
    state,
    subscriptions,
)
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Action", "Request", "read_request", "request_id"]

READERS: dict[str, Callable[[Message], Request]] = {
    op: read
    for family in (
        greeting,
        subscriptions,
        queries,
        replay,
        state,
        control,
        messages,
        services,
    )
    for op, read in family.READERS.items()
}
"""By ``op``, what makes a message a typed request."""


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
    read = READERS.get(message["op"])
    if read is None:
        op = message["op"][:40]
        near = difflib.get_close_matches(op, READERS, n=1)
        hint = f'did you mean "{near[0]}"?' if near else "see docs/protocol.md, section 3.2"
        raise ProtocolError("unknown_op", f'there is no "{op}"; {hint}')
    if request_id(message) is None:
        raise ProtocolError("bad_request", "id: send an integer from 0 to 2^53-1")
    return read(message)
