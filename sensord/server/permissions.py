"""What a session may do: the one place that checks a request before anything else does.

A request to read is narrowed to the topics that may be read, so everything after it (groups,
snapshots, history, summaries, listings, gaps) sees no other; any other request is allowed or not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sensord.access.rights import Rights
from sensord.errors import ProtocolError
from sensord.wire.ops import Action, Request, Result
from sensord.wire.ops.acting import Call, Set
from sensord.wire.ops.queries import Get, History, Topics
from sensord.wire.ops.replay import Replay
from sensord.wire.ops.subscriptions import Subscribe

__all__ = ["passed_on", "permitted"]

MOST_FILTERS = 1024
"""Of a narrowed request; 64 filters and many rights make many pairs."""

ADMIN_CALLS = frozenset({"reload"})
"""Services of the daemon for holders of `admin` alone: the answer quotes the configuration."""


def permitted(rights: Rights, request: Request[Result]) -> Request[Result]:
    """Return the request as it may be carried out.

    Raises:
        ProtocolError: It may not; the text depends on the rights alone, never on what exists.
    """
    if request.action is Action.NONE or rights.admin:
        return request
    if isinstance(request, Call) and request.name in ADMIN_CALLS:
        raise ProtocolError("forbidden", f"to call {request.name}, a token with admin is needed")
    if request.action is Action.ADMIN:
        raise ProtocolError("forbidden", f"{request.op} needs a token with admin")
    if isinstance(request, Subscribe | Get | History | Topics | Replay):
        return _narrowed(rights, request)
    for subject in request.subjects:
        is_reading = request.action is Action.READ
        if not (rights.covers(subject) if is_reading else rights.allows(request.action, subject)):
            raise _forbidden(request, subject)
    return request


def passed_on(request: Request[Result]) -> None:
    """Check a request to a server that mirrors another one.

    Raises:
        ProtocolError: It would change what clients share, which only the other one can.
    """
    if isinstance(request, Set | Call) or request.action in {Action.NONE, Action.READ}:
        return
    text = "a hub passes on set and call, and nothing else; connect to the gateway itself"
    raise ProtocolError("forbidden", text)


def _narrowed(
    rights: Rights, request: Subscribe | Get | History | Topics | Replay
) -> Request[Result]:
    topics = rights.narrowed(request.topics)
    if not topics:
        raise _forbidden(request, request.topics[0])
    if len(topics) > MOST_FILTERS:
        raise ProtocolError("too_many", "send fewer filters: your rights divide them further")
    narrowed: Request[Any] = (
        request if topics == request.topics else replace(request, topics=topics)
    )
    return narrowed


def _forbidden(request: Request[Result], subject: str) -> ProtocolError:
    return ProtocolError("forbidden", f"your token gives no right to {request.action} {subject}")
