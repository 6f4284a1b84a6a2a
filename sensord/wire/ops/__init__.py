"""Control messages, both ways: one module a family, each message one frozen value.

`docs/protocol.md`, sections 3.2 and 3.3, is the reference. Unknown fields and unknown answers are
ignored, so that newer and older clients and servers understand each other.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from sensord.errors import ProtocolError
from sensord.wire.frames import EXACT
from sensord.wire.ops import (
    acting,
    forget,
    messages,
    queries,
    replay,
    services,
    session,
    sniff,
    state,
    subscriptions,
)
from sensord.wire.ops.base import Action, Answer, Request, Result
from sensord.wire.ops.session import Error
from sensord.wire.ops.subscriptions import Channels

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Action",
    "Answer",
    "Request",
    "Result",
    "read_answer",
    "read_request",
    "request_id",
]

REQUESTS: dict[str, type[Request[Result]]] = {
    request.op: request
    for family in (
        session,
        subscriptions,
        queries,
        replay,
        state,
        acting,
        forget,
        messages,
        services,
        sniff,
    )
    for request in family.REQUESTS
}
"""By ``op``, the type of each request."""

ANSWERS: dict[str, type[Answer | Error | Channels]] = {
    answer.op: answer
    for family in (session, subscriptions, queries, acting, messages, services, sniff)
    for answer in family.ANSWERS
} | {Channels.op: Channels}
"""By ``op``, the type of each answer but ``result``, which the request reads."""


def request_id(message: object) -> int | None:
    """Return the id of a message, if it has a usable one."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if type(found) is int and 0 <= found < EXACT else None


def read_request(message: object) -> Request[Result]:
    """Check one decoded message and return the request.

    Raises:
        ProtocolError: With the code and the text of the error to answer.
    """
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        raise ProtocolError("bad_message", 'send a map with a text "op"')
    request = REQUESTS.get(message["op"])
    if request is None:
        op = message["op"][:40]
        near = difflib.get_close_matches(op, REQUESTS, n=1)
        hint = f'did you mean "{near[0]}"?' if near else "see docs/protocol.md, section 3.2"
        raise ProtocolError("unknown_op", f'there is no "{op}"; {hint}')
    if request_id(message) is None:
        raise ProtocolError("bad_request", "id: send an integer from 0 to 2^53-1")
    return request.read(message)


def read_answer(message: Mapping[str, Any]) -> Answer | Error | Channels | None:
    """Return the answer, or None for a result and for an answer of a newer server.

    Raises:
        KeyError, TypeError, ValueError, ProtocolError: It breaks the protocol.
    """
    answer = ANSWERS.get(str(message.get("op")))
    return None if answer is None else answer.read(message)
