"""An exchange: one request of plain HTTP that is more than a page, and its answer.

A history and a stream are sessions without a hello: the one request is served like that of a
WebSocket, in another form, and ends the connection with its end. What is posted is handed in as a
deposit, and answered when the journal has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from sensord.access.gate import Entry
from sensord.errors import ProtocolError
from sensord.server.http.asked import fields_of, history_of, one_of, stream_of
from sensord.server.http.forms import CsvForm, Events, Form, JsonForm
from sensord.server.http.posted import readings_in
from sensord.server.http.response import response
from sensord.server.http.routes import Answer
from sensord.server.permissions import permitted
from sensord.server.shared import Shared
from sensord.sharing.deposits import Outcome
from sensord.sharing.identity import Identity
from sensord.wire.ops import Request
from sensord.wire.ops.state import Publish

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HISTORY", "READINGS", "STREAM", "Body", "asked", "forged", "hand_in", "refusal"]

READINGS = "/api/readings"
HISTORY = "/api/history"
STREAM = "/api/stream"

STATUS = {
    "bad_request": 400,
    "bad_message": 400,
    "forbidden": 403,
    "unauthorized": 401,
    "not_found": 404,
    "held": 409,
    "already": 409,
    "too_many": 429,
    "unavailable": 503,
}
"""Of HTTP, by the codes of the protocol."""

MOST_KEY = 200


def refusal(error: ProtocolError, more: Mapping[str, object] | None = None) -> Response:
    """Answer with an error of the protocol."""
    status = STATUS.get(error.code, 400)
    body = {"error": error.message, "code": error.code, **(more or {})}
    headers = {"Retry-After": "1"} if status in {429, 503} else {}
    return _json(status, body, headers)


def forged(request: HttpRequest) -> bool:
    """Return whether a page of another site may have posted a request in a browser's name.

    An allowed ``Origin`` was checked before. A browser sends one with everything that it posts, so
    one that has a cookie and no origin is none; ``Sec-Fetch-Site`` is for those that omit it.
    """
    headers = request.headers
    if "Origin" in headers:
        return False
    is_by_cookie = "Cookie" in headers and "Authorization" not in headers
    return is_by_cookie or headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}


def asked(
    request: HttpRequest, entry: Entry, shared: Shared, events: Events
) -> tuple[Request[Any], Events | Form] | None:
    """Return what a request for a history or a stream asks for, and its form; None for others.

    Raises:
        ProtocolError: It is invalid, or nothing that it asks for may be read.
    """
    path, _, query = request.path.partition("?")
    if path not in {HISTORY, STREAM}:
        return None
    fields = fields_of(query)
    wanted: Request[Any]
    if path == STREAM:
        last = request.headers.get_all("Last-Event-ID")
        wanted = stream_of(fields, last[0] if last else "")
        return permitted(entry.rights, wanted), events
    wanted = history_of(fields)
    are_summaries = wanted.interval_s is not None
    kind = one_of(fields, "format", "json")
    if kind not in {"json", "csv"}:
        raise ProtocolError("bad_request", "format: send json or csv")
    form: Form = CsvForm(are_summaries=are_summaries)
    if kind == "json":
        form = JsonForm(shared.bus.log.epoch, are_summaries=are_summaries)
    return permitted(entry.rights, wanted), form


def hand_in(
    request: HttpRequest,
    body: bytes,
    entry: Entry,
    address: str,
    shared: Shared,
    answer: Callable[[Response], None],
) -> None:
    """Hand in what was posted; ``answer`` is called when the journal has it.

    Raises:
        ProtocolError: It is invalid, or the client has no right to it; nothing was published.
    """
    keys = request.headers.get_all("Idempotency-Key")
    key = keys[0] if keys else ""
    if len(keys) > 1 or len(key) > MOST_KEY or not key.isascii() or not key.isprintable():
        text = f"Idempotency-Key: send one, of at most {MOST_KEY} printable ASCII characters"
        raise ProtocolError("bad_request", text)
    kind = request.headers.get_all("Content-Type")
    query = request.path.partition("?")[2]
    readings = readings_in(body, kind[0] if kind else "", fields_of(query))
    for topic in {one.topic for one in readings}:
        permitted(entry.rights, Publish(1, topic, None))
    token = entry.token
    who = Identity.sessionless(
        address, "" if token is None else token.name, "" if token is None else token.id
    )
    leases = shared.control.leases

    def permit(topic: str) -> bool:
        leases.check(topic, who)
        return leases.find(topic) is not None

    def done(outcome: Outcome) -> None:
        answer(_answer(outcome, shared.bus.log.epoch))

    shared.sharing.deposits.hand_in(who, readings, key, permit, done)


def _answer(outcome: Outcome, epoch: str) -> Response:
    body: dict[str, object] = {
        "epoch": epoch,
        "readings": outcome.accepted,
        "offset": outcome.offset,
    }
    if outcome.error is not None:
        return refusal(outcome.error, body)
    return _json(200, body | {"repeated": outcome.is_repeated}, {})


def _json(status: int, body: Mapping[str, object], headers: Mapping[str, str]) -> Response:
    text = f"{json.dumps(body, ensure_ascii=False)}\n".encode("utf-8", "replace")
    return response(Answer(status, "application/json", text), text, headers)


class Body:
    """Writes the body of an answer: its head with the first bytes, then each part as it comes."""

    def __init__(
        self, write: Callable[[bytes], None], head: bytes, first: bytes, *, is_chunked: bool
    ) -> None:
        self.has_begun = False
        self._write = write
        self._head = head
        self._first = first
        self._has_part = False
        self._is_chunked = is_chunked

    def __call__(self, data: bytes, /) -> None:
        """Write a part; an empty one begins the body."""
        if not self.has_begun:
            self.has_begun = True
            self._write(self._head + self._framed(self._first))
        if data:
            # Forms of a list separate its members in front of each, and the first one has none.
            part = data if self._has_part else data.removeprefix(b",")
            self._has_part = True
            self._write(self._framed(part))

    def end(self) -> None:
        """Write the end."""
        if self._is_chunked:
            self._write(b"0\r\n\r\n")

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data
