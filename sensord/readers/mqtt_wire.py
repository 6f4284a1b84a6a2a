"""Drive one paho client with the event loop: no thread of paho's, no reconnecting of its own.

Theory of operation. paho asks its socket for one byte, then one byte, then the rest, for each
packet: three system calls a message. Here it gets a socket that takes 16 KiB at once from the
kernel and serves paho from there, which makes this cheaper than paho's own loop. When the buffer
is used up paho gets "would block", and the loop watches for more. What paho wants to send
waits until the packets at hand are done with, so that their acknowledgements leave together.

Connecting blocks, so it is done in a thread, before paho comes in; see `connect`.

Owns the socket. Must never know what the messages mean.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client as PahoClient
from paho.mqtt.client import DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from sensord.errors import DeviceError
from sensord.readers.blocking import Ending, network_error

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

__all__ = ["Client", "Target", "Wire", "connect"]

READ_BYTES = 16_384
"""Some 500 small messages, 5 ms of work: more would keep the loop's other work waiting."""

CONNECT_TIMEOUT_S = 5.0

TICKS_A_KEEPALIVE = 4
"""How often paho looks after its pings. Brokers allow 1.5 keepalives, so one tick late is early."""

MAX_UNSENT = 20
"""Messages of QoS 1 and 2 that may wait for a broker's acknowledgement; more are refused."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and what is needed to open the socket."""

    host: str
    port: int
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure: bool = False

    @property
    def where(self) -> str:
        """How an operator writes the place."""
        return f"{self.host}:{self.port}"


def connect(target: Target) -> socket.socket:
    """Open a connection and shake hands; this may block for seconds.

    Raises:
        DeviceError: With what to do about it.
    """
    context = _tls_context(target) if target.tls else None
    try:
        connection = socket.create_connection((target.host, target.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise network_error(error, target.where) from error
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            connection = context.wrap_socket(connection, server_hostname=target.host)
    except OSError as error:
        connection.close()
        raise network_error(error, target.where) from error
    except BaseException:
        connection.close()
        raise
    connection.settimeout(0)
    return connection


def _tls_context(target: Target) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=target.ca_file or None)
        if target.cert_file:
            context.load_cert_chain(target.cert_file, target.key_file or None)
    except OSError as error:
        files = [file for file in (target.ca_file, target.cert_file, target.key_file) if file]
        missing = [file for file in files if not Path(file).is_file()]
        detail = f"{', '.join(missing or files)}: {error.strerror or error}"
        raise DeviceError("cannot read certificate", detail) from error
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Socket:
    """The socket that paho sees: reads come from a buffer that `fill` fills."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._at = 0
        self._failed: OSError | None = None
        self._ended = False

    def fill(self) -> None:
        """Read what has arrived, once the buffer is used up."""
        try:
            self._buffer = self._connection.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._failed = error
            return
        self._at = 0
        self._ended = not self._buffer

    @property
    def has_news(self) -> bool:
        """Return whether paho should read on: there are bytes, or there will never be any."""
        return self._at < len(self._buffer) or self._ended or self._failed is not None

    @property
    def may_hold_more(self) -> bool:
        """Return whether bytes wait where the loop cannot see them: inside TLS."""
        return isinstance(self._connection, ssl.SSLSocket) and self._connection.pending() > 0

    def recv(self, buffer_size: int) -> bytes:
        at = self._at
        data = self._buffer[at : at + buffer_size]
        if data:
            self._at = at + len(data)
            return data
        if self._failed is not None:
            raise self._failed
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, buffer: bytes | bytearray) -> int:
        return self._connection.send(buffer)

    def close(self) -> None:
        self._connection.close()

    def fileno(self) -> int:
        return self._connection.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  # paho's protocol
        self._connection.setblocking(flag)


class Client(PahoClient):
    """A paho client that is given its socket instead of opening one."""

    def __init__(
        self,
        client_id: str,
        protocol: MQTTProtocolVersion,
        *,
        clean: bool,
        manual_ack: bool = False,
    ) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            # MQTT 5 sets this when connecting.
            None if protocol is MQTTProtocolVersion.MQTTv5 else clean,
            protocol=protocol,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        self.max_queued_messages_set(MAX_UNSENT)
        self._given: _Socket | None = None

    def give(self, connection: _Socket) -> None:
        """Use this socket for the next connection."""
        self._given = connection

    def _create_socket(self) -> SocketLike:
        given, self._given = self._given, None
        if given is None:
            raise ConnectionError("paho may not connect by itself")
        return given


class Wire:
    """One connection of a client, from CONNECT to its end.

    ``ending`` records why it ended, or the error that a callback of the client raised.
    """

    def __init__(self, client: Client, connection: socket.socket, ending: Ending) -> None:
        self._client = client
        self._socket = _Socket(connection)
        self._fd = connection.fileno()
        self._ending = ending
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_watched = False
        self._is_reading = False
        self._is_congested = False

    def start(self, target: Target, keepalive_s: int, **options: Any) -> None:
        """Send CONNECT and serve the client until the connection ends.

        ``options`` are those of `paho.mqtt.client.Client.connect`.
        """
        client = self._client
        client.on_socket_register_write = self._on_want_write
        client.on_socket_close = self._on_socket_close
        client.on_disconnect = self._on_disconnect
        self._loop.add_reader(self._fd, self._readable)
        self._is_watched = True
        client.give(self._socket)
        client.connect(target.host, target.port, keepalive_s, **options)
        self._tick_s = keepalive_s / TICKS_A_KEEPALIVE
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def close(self) -> None:
        """Send DISCONNECT if the connection still works, and release everything."""
        self._ending.fail(DeviceError("closed"))  # what happens from here on is of no interest
        if self._timer is not None:
            self._timer.cancel()
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        self._unwatch()
        self._socket.close()

    def _readable(self) -> None:
        self._guarded(self._read)

    def _read(self) -> None:
        client, source = self._client, self._socket
        self._is_reading = True
        try:
            source.fill()
            while source.has_news and client.socket() is not None:
                client.loop_read()
        finally:
            self._is_reading = False
        if client.want_write():
            self._write()
        if self._is_watched and source.may_hold_more:
            self._loop.call_soon(self._readable)

    def _on_want_write(self, *_: object) -> None:
        if not self._is_reading:
            self._loop.call_soon(self._writable)

    def _writable(self) -> None:
        self._guarded(self._write)

    def _write(self) -> None:
        client = self._client
        if client.socket() is None:
            return
        client.loop_write()
        if not self._is_watched:
            return
        if client.want_write() and not self._is_congested:
            self._is_congested = True
            self._loop.add_writer(self._fd, self._writable)
        elif self._is_congested and not client.want_write():
            self._is_congested = False
            self._loop.remove_writer(self._fd)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_s, self._tick)
        self._guarded(self._client.loop_misc)

    def _guarded(self, step: Callable[[], object]) -> None:
        if not self._is_watched:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001  # carried to the reader's run, which raises it
            self._ending.fail(error)
            self._unwatch()

    def _on_socket_close(self, _client: PahoClient, _userdata: object, closed: SocketLike) -> None:
        if closed is self._socket:  # else it is an earlier wire's, that paho had not let go yet
            self._unwatch()

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    def _on_disconnect(
        self,
        _client: PahoClient,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        name = str(reason).lower()
        if flags.is_disconnect_packet_from_server:
            self._ending.fail(DeviceError(f"broker closed: {name}"))
        elif name == "keep alive timeout":
            self._ending.fail(DeviceError("broker silent", "it did not answer a ping"))
        elif name == "protocol error":
            detail = "what it sent is no MQTT; is this the broker's port?"
            self._ending.fail(DeviceError("protocol error", detail))
        else:
            hint = "if this repeats, another client may be using the same client_id"
            self._ending.fail(DeviceError("connection lost", hint))
