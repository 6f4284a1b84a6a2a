"""Open serial lines, and move bytes over them without blocking the loop.

There are two kinds. What has a file descriptor (a port of this machine, ``socket://``) is watched
by the loop. What has none (``rfc2217://``) is read by a thread of its own, which ends with the
line. Owns the descriptors; must never know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import termios
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import serial

from sensord.errors import DeviceError
from sensord.readers.blocking import in_thread, network_error

__all__ = ["SCHEMES", "Line", "Parity", "Settings", "is_remote", "open_line"]

SCHEMES = ("socket", "rfc2217", "hwgrep", "loop")
"""The kinds of a port besides a path; all but ``socket`` are pyserial's."""

READ_BYTES = 65_536
"""More than a tty holds (4 KiB) or a pty (20 KiB): one wake-up empties the line."""

CONNECT_TIMEOUT_S = 5.0

KEEPALIVE_IDLE_S = 30
"""A terminal server that lost power sends nothing; TCP asks after this long."""

THREAD_TIMEOUT_S = 1.0
"""How long a read in a thread may block before it looks whether the line is being closed. Closing
wakes it at once wherever pyserial allows that; this is for where it does not."""

Parity = Literal["none", "even", "odd", "mark", "space"]

_PARITY = {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}

OnData = Callable[[bytes], None]
OnEnd = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which line to open, and how."""

    port: str
    baud: int
    bytesize: int
    parity: Parity
    stopbits: int
    rtscts: bool
    xonxoff: bool
    exclusive: bool
    dtr: bool | None = None
    rts: bool | None = None
    keeps_input: bool = False
    """Whether to read what arrived while the line was closed."""
    lowers_lines: bool = False
    """Whether closing lowers DTR and RTS again, after a gentle close had to prevent it."""


def is_remote(port: str) -> bool:
    """Return whether the port is another machine's."""
    return port.startswith(("socket://", "rfc2217://"))


class Line(Protocol):
    """An open line. Close it in every case; until then it owns its descriptors."""

    def start(self, on_data: OnData, on_end: OnEnd) -> None:
        """Pass every arriving piece to ``on_data``, and to ``on_end`` why no more will come.

        ``on_end`` also gets whatever ``on_data`` raised.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Write all of ``data``; may wait while the line's buffer is full.

        Raises:
            DeviceError: The line is gone.
        """
        ...

    async def set_baud(self, baud: int) -> None:
        """Change the rate once all that was written has been sent.

        Raises:
            DeviceError: The line is gone, or has no such rate.
        """
        ...

    def look(self) -> None:
        """Hand on what has arrived, where the loop may not have come to it yet."""
        ...

    async def close(self, *, gently: bool = False) -> None:
        """Stop reading and give everything back; ``gently`` leaves the modem lines as they are."""
        ...

    @property
    def was_altered(self) -> bool:
        """Whether a gentle close had to prevent that the modem lines are lowered."""
        ...

    def discard(self) -> None:
        """Close a line that was never started. May block."""
        ...


def open_line(settings: Settings) -> Line:
    """Open the line; this may block for seconds.

    Raises:
        DeviceError: With what to do about it.
    """
    if settings.port.startswith("socket://"):
        connection = _connect(settings.port)

        def hang_up(*, gently: bool) -> bool:
            del gently  # there are no modem lines
            connection.close()
            return False

        return _DescriptorLine(connection.fileno(), hang_up, _Peer(settings.port))
    port = _open_port(settings)
    if isinstance(port, serial.Serial):

        def close(*, gently: bool) -> bool:
            was_altered = False
            # Output that the device never accepted must not block: closing waits up to 30 s to
            # drain it.
            with suppress(termios.error, OSError):
                termios.tcflush(port, termios.TCOFLUSH)
                if gently or settings.dtr is not None or settings.rts is not None:
                    was_altered = _lower_lines_at_close(port.fileno(), is_on=False)
                elif settings.lowers_lines:
                    _lower_lines_at_close(port.fileno(), is_on=True)
            port.close()
            return was_altered

        def tune(baud: int) -> None:
            port.flush()
            port.baudrate = baud

        return _DescriptorLine(port.fileno(), close, _Plug(settings.port), tune)
    return _ThreadLine(port, _Peer(settings.port))


def _connect(url: str) -> socket.socket:
    """Open ``socket://host:port``.

    pyserial has this too, but sleeps for 0.3 s when it closes, hides the error number, and leaves
    its socket to the garbage collector when the other side closed first.
    """
    parts = urlsplit(url)
    where = parts.netloc
    try:
        assert parts.port is not None  # the configuration was checked
        connection = socket.create_connection((parts.hostname, parts.port), CONNECT_TIMEOUT_S)
    except OSError as error:
        raise network_error(error, where) from error
    connection.settimeout(0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return connection


class _Port(Protocol):
    """What all of pyserial's ports have."""

    @property
    def name(self) -> str | None: ...
    @property
    def in_waiting(self) -> int: ...

    dtr: bool
    rts: bool
    baudrate: int

    def flush(self) -> None: ...
    def open(self) -> None: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...


class _KeepingSerial(serial.Serial):
    """A port that does not throw away what arrived before it was opened."""

    def _reset_input_buffer(self) -> None:
        pass


def _lower_lines_at_close(fd: int, *, is_on: bool) -> bool:
    """Have the system lower DTR and RTS at the close, or not; return whether it did otherwise."""
    attributes = termios.tcgetattr(fd)
    flags = attributes[2]
    attributes[2] = flags | termios.HUPCL if is_on else flags & ~termios.HUPCL
    if attributes[2] != flags:
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
    return bool(attributes[2] != flags)


def _open_port(settings: Settings) -> _Port:
    try:
        port = _unopened(settings)
        if settings.dtr is not None:
            port.dtr = settings.dtr
        if settings.rts is not None:
            port.rts = settings.rts
        port.open()
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        raise _open_error(error, settings.port) from error
    return port


def _unopened(settings: Settings) -> _Port:
    options: dict[str, Any] = {
        "baudrate": settings.baud,
        "bytesize": settings.bytesize,
        "parity": _PARITY[settings.parity],
        "stopbits": settings.stopbits,
        "rtscts": settings.rtscts,
        "xonxoff": settings.xonxoff,
        "exclusive": settings.exclusive,
        "timeout": THREAD_TIMEOUT_S,
    }
    if settings.keeps_input and "://" not in settings.port:
        kept = _KeepingSerial(None, **options)
        kept.port = settings.port
        return kept
    port: _Port = serial.serial_for_url(settings.port, do_not_open=True, **options)
    return port


_NO_SUCH_PORT = ("no such port", "plug the device in; sensord ports lists those present")

_OPEN_ERRORS = {
    errno.ENOENT: _NO_SUCH_PORT,
    errno.ENODEV: _NO_SUCH_PORT,
    errno.ENXIO: _NO_SUCH_PORT,
    errno.EACCES: ("permission denied", "add the user that runs sensord to the group dialout"),
    errno.EPERM: ("permission denied", "allow the port in the service's DeviceAllow="),
    errno.EAGAIN: ("port is busy", "another program holds it; fuser -v names the program"),
    errno.EBUSY: ("port is busy", "another program holds it; fuser -v names the program"),
    errno.EIO: ("unplugged", "it went away while it was being opened"),
    errno.ENOTTY: ("not a serial port", "port must name a terminal device or a URL"),
    errno.EINVAL: ("settings refused", "check baud, bytesize, parity and stopbits"),
}


def _open_error(error: Exception, port: str) -> DeviceError:
    # pyserial words some errors anew and loses the number; the original is the context then.
    cause = error.__context__
    if is_remote(port) and isinstance(cause, OSError):
        return network_error(cause, urlsplit(port).netloc)
    for one in (error, cause):
        number = one.args[0] if one is not None and one.args else None
        if isinstance(number, int) and number in _OPEN_ERRORS:
            reason, hint = _OPEN_ERRORS[number]
            return DeviceError(reason, f"{port}: {hint}")
    if port.startswith("hwgrep://"):  # its other failure: nothing matches
        return DeviceError(_NO_SUCH_PORT[0], f"{port}: {_NO_SUCH_PORT[1]}")
    if isinstance(error, ValueError):
        return DeviceError("settings refused", f"{port}: {error}")
    return DeviceError("cannot open", f"{port}: {error}")


class _Plug:
    """Words the loss of a port of this machine."""

    def __init__(self, port: str) -> None:
        self._port = port

    def lost(self, why: str) -> DeviceError:
        return DeviceError("unplugged", f"{self._port}: {why}")


class _Peer:
    """Words the loss of a connection."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url).netloc

    def lost(self, why: str) -> DeviceError:
        return DeviceError("connection lost", f"{self._where}: {why}")


async def _tuned(name: str, tune: Callable[[int], None], baud: int, words: _Plug | _Peer) -> None:
    """Change a rate in a thread: waiting until everything is sent may block."""
    try:
        await in_thread(name, lambda: tune(baud))
    except (ValueError, termios.error) as error:
        raise DeviceError("settings refused", f"{baud} baud: {error}") from error
    except OSError as error:  # SerialException is one
        raise words.lost(error.strerror or str(error)) from error


class _Close(Protocol):
    def __call__(self, *, gently: bool) -> bool: ...


class _DescriptorLine:
    """A line that the loop can watch."""

    def __init__(
        self,
        fd: int,
        close: _Close,
        words: _Plug | _Peer,
        tune: Callable[[int], None] | None = None,
    ) -> None:
        self._fd = fd
        self._close = close
        self._words = words
        self._tune = tune
        self.was_altered = False
        self._on_data: OnData | None = None
        self._on_end: OnEnd | None = None

    def start(self, on_data: OnData, on_end: OnEnd) -> None:
        self._on_data = on_data
        self._on_end = on_end
        asyncio.get_running_loop().add_reader(self._fd, self._readable)

    def _readable(self) -> None:
        assert self._on_data is not None
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(self._words.lost(error.strerror or str(error)))
            return
        if not data:
            # A hang-up. It must end the watch here: asyncio would call again at once, 250,000
            # times a second, and uvloop never again.
            self._end(self._words.lost("hung up"))
            return
        try:
            self._on_data(data)
        except Exception as error:  # noqa: BLE001  # carried to the reader's run, which raises it
            self._end(error)

    def _end(self, error: Exception) -> None:
        assert self._on_end is not None
        asyncio.get_running_loop().remove_reader(self._fd)
        self._on_end(error)

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                written = os.write(self._fd, rest)
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                raise self._words.lost(error.strerror or str(error)) from error
            else:
                rest = rest[written:]

    async def set_baud(self, baud: int) -> None:
        assert self._tune is not None, "the configuration was checked"
        await _tuned(f"baud:{self._fd}", self._tune, baud, self._words)

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._fd, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._fd)

    def look(self) -> None:
        # A read would not do: a terminal answers it with nothing, as it does a hang-up.
        if select.select([self._fd], [], [], 0)[0]:
            self._readable()

    async def close(self, *, gently: bool = False) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        self.was_altered = self._close(gently=gently)

    def discard(self) -> None:
        self._close(gently=False)


class _ThreadLine:
    """A line without a descriptor, read by a thread that lives as long as the line."""

    def __init__(self, port: _Port, words: _Peer) -> None:
        self._port = port
        self._words = words
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self, on_data: OnData, on_end: OnEnd) -> None:
        loop = asyncio.get_running_loop()

        def guarded(data: bytes) -> None:
            if self._closing:
                return
            try:
                on_data(data)
            except Exception as error:  # noqa: BLE001  # carried to the reader's run, which raises it
                on_end(error)

        def read() -> None:
            try:
                while not self._closing:
                    if data := self._port.read(1):
                        data += self._port.read(self._port.in_waiting)
                        loop.call_soon_threadsafe(guarded, data)
            except Exception as error:  # noqa: BLE001  # pyserial raises anything when a port goes
                if not self._closing:
                    with suppress(RuntimeError):  # the loop is closed: no one is left to notify
                        loop.call_soon_threadsafe(on_end, self._words.lost(str(error)))

        self._thread = threading.Thread(target=read, name=f"read:{self._port.name}", daemon=True)
        self._thread.start()

    async def write(self, data: bytes) -> None:
        try:
            await in_thread(f"write:{self._port.name}", lambda: self._port.write(data))
        except OSError as error:
            raise self._words.lost(str(error)) from error

    async def set_baud(self, baud: int) -> None:
        def tune(baud: int) -> None:
            self._port.flush()
            self._port.baudrate = baud

        await _tuned(f"baud:{self._port.name}", tune, baud, self._words)

    def look(self) -> None:
        """Do nothing: a thread reads all input."""

    @property
    def was_altered(self) -> bool:
        return False

    async def close(self, *, gently: bool = False) -> None:
        del gently  # the lines are the server's
        self._closing = True
        await in_thread(f"close:{self._port.name}", self.discard)

    def discard(self) -> None:
        with suppress(AttributeError, OSError):  # not every kind of port has it
            self._port.cancel_read()  # type: ignore[attr-defined]
        self._port.close()
        if self._thread is not None:
            self._thread.join()
