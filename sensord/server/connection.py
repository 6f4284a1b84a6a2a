"""A connection: one client's socket, from its first byte to its last.

The WebSocket protocol itself is the library's sans-I/O `ServerProtocol`; this class moves its
bytes. Data frames do not pass through it: without extensions a server's frame is the same for
every client, so groups write ready bytes straight to the transport (see `group.packet`), which
costs little more than the system call.

Flow control: the transport reports when its unsent bytes pass the mark. Then the session's
subscriptions leave their groups, and requests are neither read nor served until the client has read
enough; so a client that does not read costs at most the mark, one frame and one answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

from websockets.exceptions import InvalidMessage, NegotiationError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from sensord.access.gate import Entry, Origin, RefusedError
from sensord.access.rights import Rights
from sensord.errors import ProtocolError
from sensord.server.http.entrance import Entrance
from sensord.server.http.exchange import READINGS, Body, asked, forged, hand_in, refusal
from sensord.server.http.forms import Events
from sensord.server.http.response import cached, response, safe, sentence
from sensord.server.http.routes import Answer
from sensord.server.http.transfer import MARK_BYTES, Places, Transfer
from sensord.server.http.upload import Upload, UploadError
from sensord.server.packets import Write
from sensord.server.session import Session
from sensord.server.shared import Shared
from sensord.server.turns import Turns
from sensord.wire.frames import CODECS, Codec

__all__ = ["Connection", "Host"]

log = logging.getLogger("sensord.server")

quiet = logging.getLogger("sensord.websockets")
quiet.setLevel(logging.ERROR)  # the library logs each connection; so does sensord

CLOSE_TIMEOUT_S = 5.0
"""How long a client may take to answer a close frame before its socket is cut."""

LINGER_S = 1.0
"""How long the rest of a refused request is read and discarded.

A socket that is closed with bytes unread is reset, and the answer may be lost with it."""

PART_BYTES = 2048
"""Read in one turn: some 300 of the smallest frames, 3 ms."""

TURN_S = 0.002
"""Requests of one client are served for so long in one turn."""

HEALTH = b"GET /healthz"
"""Served first: such a checker ends a daemon that does not answer in time."""

POST = b"POST "

BODY_PART_BYTES = 16 * 1024
"""Of a body, read in one turn: it is only copied."""

PATHS = {"/", "/v1"}

UPLOADS = 64
"""Bodies that are read or wait for the disk at a time."""

BUSY_TEXT = b"Too many pages are being read; come back later.\n"
BUSY = Answer(503, "text/plain", BUSY_TEXT)

NO_REQUEST = "This is no HTTP request.\n"
BODY = "Only POST /api/readings is served with a body.\n"


class Host(Protocol):
    """The server, as its connections see it."""

    shared: Shared
    serving: Turns
    """Those whose requests wait to be served."""
    entrance: Entrance
    """Decides which first requests may enter."""
    places: Places
    """The pages that are being read."""
    uploads: set[Connection]
    """Those that post."""
    events: Events
    """The form of streams."""

    def connected(self, connection: Connection) -> None:
        """Add a connection."""
        ...

    def opened(self, connection: Connection, codec: Codec) -> Session | None:
        """Make a session, or None if there are too many."""
        ...

    def ended(self, session: Session) -> None:
        """End a session."""
        ...

    def failed(self) -> None:
        """Count an internal fault."""
        ...

    def disconnected(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        ...

    def host_of(self, path: str) -> tuple[Host, str] | None:
        """Return the server whose paths begin as this one does, and the rest of it; or None."""
        ...

    def http(self, path: str, rights: Rights) -> Answer:
        """Answer a plain HTTP request."""
        ...

    def origin_of(self, transport: asyncio.Transport) -> Origin:
        """Return where a connection comes from."""
        ...

    def denied(self, address: str) -> float:
        """Count a wrong token; return how long its answer waits."""
        ...

    def let_in(self, address: str) -> None:
        """Forget the wrong tokens from an address."""
        ...


class _WebSocket(ServerProtocol):
    """The WebSocket protocol with our subprotocols.

    A function that is passed to the library becomes a bound method of each protocol: a cycle.
    """

    def select_subprotocol(self, subprotocols: Sequence[Subprotocol]) -> Subprotocol:
        """Return the first of the client's subprotocols that is ours."""
        for name in subprotocols:
            if name in CODECS:
                return name
        raise NegotiationError(f"offer one of the subprotocols {' and '.join(CODECS)}")

    def let_go(self) -> None:
        """Break the reference cycles, so that it is freed now: the collector looks too seldom.

        The parser is a suspended generator that refers to the protocol, as do the tracebacks of
        errors. Nothing can be received afterwards.
        """
        self.parser.close()
        self.parser_exc = self.handshake_exc = None


class Connection(asyncio.Protocol):
    """One client's socket."""

    def __init__(self, host: Host) -> None:
        self.session: Session | None = None
        self.address = ""
        self.is_congested = False
        self.clogged_at = 0.0
        """Loop time since when the unsent bytes are above the mark."""
        self.made_at = 0.0
        """Loop time when it was made."""
        self.heard_at = 0.0
        """Loop time when the client last sent anything."""
        self.pinged_at: float | None = None
        """Loop time of the ping that has not been answered."""
        self.write: Write = _unconnected
        self.page: Transfer | None = None
        """The answer to a plain HTTP request, while it is being read."""
        self.entry: Entry | None = None
        """What the token of its first request allows; None without one."""
        self.origin = Origin.NETWORK
        self._host = host
        self._ws = _WebSocket(
            subprotocols=[Subprotocol(name) for name in CODECS],
            max_size=host.shared.limits.message_bytes,
            logger=quiet,
        )
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._is_text = False
        self._inbox: deque[tuple[bytes, bool]] = deque()
        self._unread = bytearray()  # bytes that wait for the next turn: one read of the transport
        self._cut: asyncio.Handle | None = None
        self._denying: asyncio.Handle | None = None
        self._is_refused = False  # it has its answer; the rest of its input is ignored
        self._is_deaf = False  # its request is being answered; what follows is not served
        self._first: bytearray | None = bytearray()  # until it shows the method
        self._upload: Upload | None = None
        self._body: Body | None = None
        """The answer of a session over plain HTTP."""
        self._pulse = b""

    # -- called by the transport -------------------------------------------------------------------

    @property
    def is_announced(self) -> bool:
        """Whether its client has said hello."""
        return self.session is not None and self.session.is_ready

    @property
    def is_answering(self) -> bool:
        """Whether a page is being read or the disk is waited for, which have own deadlines."""
        return self._is_deaf and self.session is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # A stream's transport, as every create_server makes; uvloop's is no subclass of asyncio's.
        self._transport = transport = cast("asyncio.Transport", transport)
        self.write = transport.write
        mark = self._host.shared.limits.outbox_bytes
        transport.set_write_buffer_limits(high=mark, low=mark // 4)
        peer = transport.get_extra_info("peername")
        self.address = f"{peer[0]}:{peer[1]}" if peer and isinstance(peer, tuple) else "local"
        self.origin = self._host.origin_of(transport)
        self.made_at = self.heard_at = self._host.shared.loop.time()
        self._host.connected(self)

    def data_received(self, data: bytes) -> None:
        """Accept bytes from the client."""
        if self._is_refused or self._is_deaf:
            return
        self._note_activity()
        self._unread += data
        if self._unread.startswith(HEALTH):
            self._host.serving.hurry(self)
        else:
            self._host.serving.start(self)
        transport = self._transport
        if self._unread and transport is not None and not transport.is_closing():
            # Also while it waits for its first turn: what it sends must not pile up here.
            transport.pause_reading()

    def _note_activity(self) -> None:
        self.heard_at = self._host.shared.loop.time()
        self.pinged_at = None

    def take_turn(self) -> None:
        """Read and serve a little; the rest in this client's next turn.

        However much clients send, each delays the others by no more than one turn.
        """
        self.guard(self._work)

    def _work(self) -> None:
        if not self._inbox:
            size = PART_BYTES if self._upload is None else BODY_PART_BYTES
            part = bytes(self._unread[:size])
            del self._unread[:size]
            if part:
                self._read(part)
            if self._upload is None:
                self._take_events()
        self._serve_inbox()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_deaf:
            self._unread.clear()
            if not self.is_congested:
                transport.resume_reading()  # to notice its end
            return
        if self.is_congested and self.session is not None:
            return  # it is read again when it has read
        if self._unread or self._inbox:
            transport.pause_reading()
            self._host.serving.wait(self)
        else:
            transport.resume_reading()

    def _read(self, part: bytes) -> None:
        """Read the first request, then what the WebSocket carries; the library reads no bodies."""
        if self._first is not None:
            self._first += part
            if POST.startswith(self._first):
                return
            part, self._first = bytes(self._first), None
            if part.startswith(POST):
                self._upload = Upload()
        if self._upload is None:
            self._ws.receive_data(part)
        else:
            self._read_upload(self._upload, part)

    def eof_received(self) -> bool:
        """Handle the end of the client's bytes: no one waits for its unserved requests.

        An answer is still sent: some programs close their side right after the request. A stream
        has no end, and is not.
        """
        return self._is_deaf and not self._pulse

    def connection_lost(self, _exc: Exception | None) -> None:
        """End."""
        for handle in (self._cut, self._denying):
            if handle is not None:
                handle.cancel()
        self._host.serving.leave(self)
        self._end_session()
        self._host.disconnected(self)
        self._ws.let_go()

    def pause_writing(self) -> None:
        """Stop serving: the unsent bytes are above the mark."""
        self.is_congested = True
        self.clogged_at = self._host.shared.loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        if self.session is not None:
            self.guard(self.session.congested)

    def resume_writing(self) -> None:
        """Resume serving: the client has read enough."""
        self.is_congested = False
        # It has read; and its pong could not be received meanwhile.
        self._note_activity()
        self.guard(self._go_on)

    def _go_on(self) -> None:
        if self.page is not None:
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()
            self.page.drained()
            return
        if self.session is not None:
            self.session.drained()
        if not self._is_deaf:
            self._host.serving.start(self)
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- WebSocket ---------------------------------------------------------------------------------

    def _take_events(self) -> None:
        has_request = False
        for event in self._ws.events_received():
            if isinstance(event, Request):
                has_request = True
                self._handshake(event)
            elif isinstance(event, Frame) and not self._is_deaf:
                self._frame(event)
        if isinstance(self._ws.handshake_exc, InvalidMessage):
            self._refuse(self._ws.handshake_exc.__cause__)
        elif self._ws.handshake_exc is not None and not has_request and self._cut is None:
            # A line or header that is too long: the library has its answer ready.
            self._refuse_with(b"".join(self._ws.data_to_send()))
        elif not self._is_deaf:
            self._flush()

    def _flush(self) -> None:
        """Write the output of the WebSocket protocol."""
        transport = self._transport
        if transport is None:
            return
        for data in self._ws.data_to_send():
            if data:
                self.write(data)
            else:
                # The end of the stream: what was written before is still sent.
                transport.close()
        if self._cut is None and self._ws.close_expected():
            self._cut = self._host.shared.loop.call_later(CLOSE_TIMEOUT_S, transport.abort)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._is_text = frame.opcode is Opcode.TEXT
        elif frame.opcode is Opcode.CLOSE:
            self._end_session()
            return
        elif frame.opcode is not Opcode.CONT:
            return
        if self.session is None:
            return  # it is being closed
        if frame.data:  # else endless empty fragments would fill the list
            self._parts.append(bytes(frame.data))
        if frame.fin:
            self._inbox.append((b"".join(self._parts), self._is_text))
            self._parts.clear()

    def _serve_inbox(self) -> None:
        until = time.monotonic() + TURN_S
        while self._inbox and not self.is_congested and self.session is not None:
            if time.monotonic() > until:
                return
            payload, is_text = self._inbox.popleft()
            self.guard(self._serve, self.session, payload, is_text)

    def _serve(self, session: Session, payload: bytes, is_text: bool) -> None:  # noqa: FBT001  # passed on
        session.received(payload, is_text=is_text)

    def guard(self, act: Callable[..., None], *args: object) -> bool:
        """Call ``act``; an error in it ends this session and no other.

        This is one of the program's catch-alls: an internal fault in serving one monitor must not
        stop the readings of the others.
        """
        try:
            act(*args)
        except Exception:
            name = self.session.name if self.session else "-"
            log.exception("session failed", extra={"session": name, "address": self.address})
            self._host.failed()
            self.close(1011, "internal error")
            return False
        return True

    def let_in(self) -> None:
        """Forget earlier wrong tokens from there."""
        self._host.let_in(self.address)

    def deny(self, act: Callable[[], None]) -> None:
        """Serve no more, and call ``act`` after the pause for wrong tokens."""
        self._is_refused = True
        self._inbox.clear()
        self._unread.clear()
        pause_s = self._host.denied(self.address)
        self._denying = self._host.shared.loop.call_later(pause_s, self._deny_now, act)

    def _deny_now(self, act: Callable[[], None]) -> None:
        self._is_refused = False  # the good-bye of the client is to be read
        self.guard(act)

    def ping(self) -> None:
        """Ask the client whether it is still there; a stream has no answer, but breaks if not."""
        if self._is_deaf:
            self._note_activity()
            if self._pulse:
                self.write(self._pulse)
        elif self._ws.state is State.OPEN:
            self._ws.send_ping(b"")
            self.pinged_at = self._host.shared.loop.time()
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the connection."""
        self._end_session()
        if self._transport is None or self._transport.is_closing():
            return
        if self._ws.state is not State.OPEN:
            # What a client does not read would be waited for without end.
            (self._transport.abort if self.is_congested else self._transport.close)()
            return
        self._ws.send_close(code, reason)
        self._flush()
        # The client's own close frame must be received, however much it has left unread.
        self._transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _end_session(self) -> None:
        # Before the close frame: nothing may be written after it.
        if self.session is not None:
            self._host.ended(self.session)
            self.session = None
        if self.page is not None:
            self.page.close()
            self.page = None
            self._host.places.leave(self)
        self._host.uploads.discard(self)
        self._inbox.clear()

    # -- the first request -------------------------------------------------------------------------

    def _handshake(self, request: Request) -> None:
        if (refusal := self._host.entrance.refusal(request)) is not None:
            self._answer(refusal)
            return
        if (found := self._host.host_of(request.path)) is not None:
            self._move(found[0])
            rest = found[1]
            if not rest.startswith("/") and "Upgrade" not in request.headers:
                # The page's own addresses are relative to its folder.
                where = {"Location": request.path.partition("?")[0] + "/"}
                self._answer(response(Answer(308, "text/plain", b""), b"", where))
                return
            request = replace(request, path=rest if rest.startswith("/") else f"/{rest}")
        is_upgrade = "Upgrade" in request.headers and self._upload is None
        try:
            self.entry = self._host.entrance.entry(request)
        except RefusedError as exc:
            answer = sentence(401, f"Refused: {exc}.")
            answer.headers["WWW-Authenticate"] = "Bearer"
            self.deny(lambda: self._answer(answer))
            return
        if self.entry is not None and "Authorization" in request.headers:
            self.let_in()
        if not is_upgrade:
            self._answer_http(request)
            return
        path = request.path.partition("?")[0]
        if path in PATHS:
            answer = self._ws.accept(request)
        else:
            answer = self._ws.reject(404, f"No WebSocket at {path}; connect to /v1.\n")
        if answer.status_code != 101:  # noqa: PLR2004  # switching protocols
            self._answer(answer)
            return
        if self._ws.eof_sent:
            # What came with the request, before it was answered, has already failed the connection.
            self._answer(self._ws.reject(400, "Wait for the answer to your request.\n"))
            return
        assert self._ws.subprotocol is not None
        self._ws.send_response(answer)
        self._flush()
        self.session = self._host.opened(self, CODECS[self._ws.subprotocol])
        if self.session is None:
            self.close(4101, "too many sessions; come back later")

    def _move(self, host: Host) -> None:
        """Continue as a connection of another server."""
        self._host.disconnected(self)
        self._host = host
        host.connected(self)

    @property
    def _is_encrypted(self) -> bool:
        assert self._transport is not None
        return self._transport.get_extra_info("ssl_object") is not None

    def _answer_http(self, request: Request) -> None:
        entrance = self._host.entrance
        sharing = entrance.sharing(request)
        if request.method == "POST" and request.path.partition("?")[0] == READINGS:
            self._begin_upload(request)
            return
        if self._upload is not None and self._upload.has_body:
            self._refuse_with(self._ws.reject(413, BODY).serialize())
            return
        changed = entrance.log_in_or_out(request, self.entry, is_encrypted=self._is_encrypted)
        if changed is not None:
            self._answer(changed)
            return
        if request.method == "OPTIONS" and sharing:
            self._answer(response(Answer(204, "text/plain", b""), None, sharing))
            return
        entry = self.entry or self._host.shared.gate.anonymous(self.origin)
        if request.method != "GET":
            answer = Answer(405, "text/plain", b"Only GET is served here.\n")
        elif self._open_session(request, entry, sharing):
            return
        else:
            answer = self._host.http(request.path, entry.rights)
        if answer.tag:
            answer, caching = cached(answer, request)
            sharing |= caching
        if isinstance(answer.body, bytes):
            self._answer(response(answer, answer.body, sharing))
        elif self._host.places.enter(self, self._host.shared.loop.time()):
            is_chunked = request.protocol != "HTTP/1.0"
            self._open_page(answer, answer.body, sharing, is_chunked=is_chunked)
        else:
            self._answer(response(BUSY, BUSY_TEXT, {"Retry-After": "1"} | sharing))

    # -- what is posted ----------------------------------------------------------------------------

    def _read_upload(self, upload: Upload, part: bytes) -> None:
        try:
            is_new = upload.request is None
            upload.feed(part)
            request = upload.request
            if request is None:
                return
            if is_new:
                self._handshake(request)
            if self in self._host.uploads and not self._is_deaf:
                upload.feed(b"")  # what came with the head
                if upload.is_complete:
                    self._hand_in(upload, request)
        except UploadError as exc:
            self._refuse_with(safe(sentence(exc.status, exc.text)).serialize())

    def _begin_upload(self, request: Request) -> None:
        """Read the body, if its client may post at all."""
        upload, uploads = self._upload, self._host.uploads
        assert upload is not None, "it has read the head"
        if forged(request):
            self._answer(sentence(403, "Refused: send Origin, or a token in Authorization."))
        elif len(uploads) >= UPLOADS:
            self._answer(response(BUSY, BUSY_TEXT, {"Retry-After": "1"}))
        else:
            uploads.add(self)
            if upload.expects_continue:
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_in(self, upload: Upload, request: Request) -> None:
        sharing = self._host.entrance.sharing(request)

        def answer(given: Response) -> None:
            if self._transport is not None and not self._transport.is_closing():
                for name, value in sharing.items():
                    given.headers[name] = value
                self._answer(given)

        self._is_deaf = True
        entry, shared = (
            self.entry or self._host.shared.gate.anonymous(self.origin),
            self._host.shared,
        )
        try:
            hand_in(request, bytes(upload.body), entry, self.address, shared, answer)
        except ProtocolError as exc:
            answer(refusal(exc))

    # -- a session for one request -----------------------------------------------------------------

    def _open_session(self, request: Request, entry: Entry, sharing: Mapping[str, str]) -> bool:
        """Serve a history or a stream; return False if the request is for something else."""
        host, transport = self._host, self._transport
        assert transport is not None
        try:
            found = asked(request, entry, host.shared, host.events)
            if found is None:
                return False
            wanted, form = found
            is_chunked = form is not host.events and request.protocol != "HTTP/1.0"
            encoding = {"Transfer-Encoding": "chunked"} if is_chunked else {}
            head = response(Answer(200, form.content_type, b""), None, {**encoding, **sharing})
            self.write = body = Body(
                transport.write, head.serialize(), form.head, is_chunked=is_chunked
            )
            self.session = session = host.opened(self, form)
            if session is None:
                self.write = transport.write
                self._answer(response(BUSY, BUSY_TEXT, {"Retry-After": "1", **sharing}))
                return True
            self._is_deaf, self._body = True, body
            session.serve(entry, wanted)
        except ProtocolError as exc:
            self._end_session()
            self.write = transport.write
            answer = refusal(exc)
            for name, value in sharing.items():
                answer.headers[name] = value
            self._answer(answer)
            return True
        body(b"")
        if form is host.events:
            self._pulse = b":\n\n"
            self.write = session.write = transport.write
        return True

    def request_ended(self) -> None:
        """End the connection with the one request of plain HTTP."""
        if self._body is not None:
            self._host.shared.loop.call_soon(self._end_body, self._body)

    def _end_body(self, body: Body) -> None:
        if self._transport is not None and not self._transport.is_closing():
            body.end()
            self.finish()
            self._cut_later(self._host.shared.limits.lag_timeout_s)

    def _open_page(
        self,
        answer: Answer,
        pieces: Iterator[bytes],
        headers: dict[str, str],
        *,
        is_chunked: bool,
    ) -> None:
        transport = self._transport
        assert transport is not None
        encoding = {"Transfer-Encoding": "chunked"} if is_chunked else {}
        head = response(answer, None, encoding | headers)
        # Many may be read at a time, and none needs a session's mark.
        transport.set_write_buffer_limits(high=MARK_BYTES, low=MARK_BYTES // 4)
        self._is_deaf = True
        self.page = Transfer(self, pieces, self._host.shared.groups.turns, is_chunked=is_chunked)
        self._cut_later(self._host.shared.limits.lag_timeout_s)
        self.write(head.serialize())
        self.page.begin()

    def finish(self) -> None:
        """End the connection when the page has been sent."""
        assert self._transport is not None
        self._end_session()
        self._transport.close()

    def _refuse(self, cause: BaseException | None) -> None:
        """Answer what is no request, or has a body; the library would only hang up."""
        # The library gives no other sign of a body than the text of its error.
        has_body = isinstance(cause, NotImplementedError) or "body" in str(cause)
        status, text = (413, BODY) if has_body else (400, NO_REQUEST)
        self._refuse_with(self._ws.reject(status, text).serialize())

    def _refuse_with(self, answer: bytes) -> None:
        """Send an answer and ignore whatever the client is still sending."""
        self.write(answer)
        transport = self._transport
        assert transport is not None
        # If the client has gone already, asyncio reports it here, uvloop by connection_lost. TLS
        # has no half-closed connection.
        with contextlib.suppress(OSError, NotImplementedError):
            transport.write_eof()
        self._is_refused = True
        self._unread.clear()
        self._cut = self._host.shared.loop.call_later(LINGER_S, transport.abort)

    def _answer(self, answer: Response) -> None:
        """Answer with a page and end the connection, bypassing the library's state.

        The library reads anything after a request as WebSocket frames, and may have failed by now.
        """
        assert self._transport is not None
        if self._upload is not None and self._upload.has_body and not self._upload.is_complete:
            self._refuse_with(safe(answer).serialize())  # the rest of the body is on its way
            return
        self.write(safe(answer).serialize())
        self._transport.close()
        self._cut_later(self._host.shared.limits.lag_timeout_s)

    def _cut_later(self, seconds: float) -> None:
        assert self._transport is not None
        self._cut = self._host.shared.loop.call_later(seconds, self._transport.abort)


def _unconnected(_data: bytes, /) -> None:
    raise AssertionError("written to before it was connected")
