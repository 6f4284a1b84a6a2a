"""The start of a connection: connect to the server and say hello."""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from sensord.client.conversation import Conversation, Refused, Succeeded
from sensord.client.errors import ClientError
from sensord.client.trust import Trust
from sensord.errors import ProtocolError
from sensord.wire.frames import Codec
from sensord.wire.ops.session import Hello, Welcome

__all__ = ["Connected", "connect_to"]

CONNECT_S = 10.0

UNAUTHORIZED = 4203
"""The close code for a token that is wrong or missing; reconnecting is pointless."""

UNTRUSTED = 4299
"""Our own code for a server with another certificate, in the same range."""

MOST_TEXT_BYTES = 500
"""Of the text of a refusal."""


class Connected(NamedTuple):
    """A server that has answered hello."""

    socket: ClientConnection
    conversation: Conversation
    welcome: Welcome


async def connect_to(url: str, codec: Codec, hello: Hello, trust: Trust | None = None) -> Connected:
    """Connect and say hello.

    Raises:
        ClientError: The connection failed.
    """
    try:
        return await _greet(await _open(url, codec, trust), codec, hello)
    except (OSError, InvalidHandshake, ConnectionClosed, ProtocolError) as exc:
        # Some, such as a timeout, have no text.
        why, code = str(exc) or type(exc).__name__, 1006
        if isinstance(exc, ConnectionRefusedError):
            why = "nothing listens there; is the daemon running?"
        if isinstance(exc, ProtocolError) and exc.code == "unauthorized":
            why, code = exc.message, UNAUTHORIZED
        if isinstance(exc, InvalidStatus) and exc.response.status_code == HTTPStatus.UNAUTHORIZED:
            code = UNAUTHORIZED
        if isinstance(exc, InvalidStatus) and (text := _text_of(exc)):
            why = text
        if isinstance(exc, ConnectionClosed) and exc.rcvd is not None:
            code = exc.rcvd.code
        raise ClientError(f"cannot connect to {url}: {why}", code) from exc


def _text_of(refused: InvalidStatus) -> str:
    """Return the server's own sentence about a refused upgrade, if it sent one."""
    response = refused.response
    if not response.headers.get("Content-Type", "").startswith("text/plain"):
        return ""
    return bytes(response.body or b"")[:MOST_TEXT_BYTES].decode(errors="replace").strip()


async def _open(url: str, codec: Codec, trust: Trust | None) -> ClientConnection:
    try:
        if url.startswith("unix:"):
            made = await _open_socket(url.removeprefix("unix:").removeprefix("//"), codec)
        else:
            made = await _open_address(url, codec, trust)
    except ssl.SSLError:  # one about a certificate is a ValueError too
        raise
    except (InvalidURI, ValueError) as exc:
        # ValueError: a port beyond 65,535, half a bracket, a name that no resolver accepts.
        why = "not an address of a monitor; say ws://host:port"
        raise ClientError(f"cannot connect to {url}: {why}") from exc
    return made


async def _open_socket(path: str, codec: Codec) -> ClientConnection:
    return await unix_connect(
        path,
        "ws://localhost/v1",
        subprotocols=[Subprotocol(codec.subprotocol)],
        compression=None,
        max_size=None,
        open_timeout=CONNECT_S,
    )


async def _open_address(url: str, codec: Codec, trust: Trust | None) -> ClientConnection:
    made = await connect(
        url,
        subprotocols=[Subprotocol(codec.subprotocol)],
        compression=None,
        max_size=None,
        open_timeout=CONNECT_S,
        proxy=None,
        ssl=(trust or Trust()).context() if url.lower().startswith("wss:") else None,
    )
    if trust is not None and (why := trust.refusal(made.transport)):
        made.transport.abort()
        raise ClientError(f"cannot connect to {url}: {why}", UNTRUSTED)
    return made


async def _greet(socket: ClientConnection, codec: Codec, hello: Hello) -> Connected:
    conversation = Conversation(codec)
    try:
        conversation.asked(hello)
        await socket.send(codec.message(hello.write()), text=codec.is_text)
        async with asyncio.timeout(CONNECT_S):
            event = conversation.received(await socket.recv(decode=False))
        if isinstance(event, Refused):
            raise event.error
        if not isinstance(event, Succeeded) or not isinstance(event.result, Welcome):
            raise ProtocolError("bad_message", "hello was not answered")
    except BaseException:
        await socket.close()
        raise
    return Connected(socket, conversation, event.result)
