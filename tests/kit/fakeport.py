"""A USB serial port that can be plugged and unplugged: a stable path over a pty.

As with a real adapter, the path stays (a link, as in ``/dev/serial/by-id``) and the device behind
it changes its number with every plug. Differences to a real one, measured: a pty does not pace
(``feed`` can), has no modem lines, and refuses parity and 7 bits at a second open.
"""

from __future__ import annotations

import os
import pty
import select
import time
import tty
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["FakePort"]

BITS_A_BYTE = 10
"""Start bit, eight data bits, stop bit."""


class FakePort:
    """The device's side of a serial port at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master: int | None = None
        self._held: list[int] = []
        self._last = ""

    def __enter__(self) -> Self:
        self.plug()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._master is not None:
            self.unplug()
        while self._held:
            os.close(self._held.pop())

    @property
    def device(self) -> Path:
        """The terminal behind the path, such as ``/dev/pts/3``."""
        return self.path.readlink()

    def plug(self) -> None:
        """Put the port there, under a number that it did not have the last time."""
        while True:
            master, slave = pty.openpty()
            name = os.ttyname(slave)
            tty.setraw(slave)
            os.close(slave)
            if name != self._last:
                break
            self._held.append(master)  # keeps the number taken
        self._last = name
        os.set_blocking(master, False)
        self._master = master
        new = self.path.with_suffix(".new")
        new.symlink_to(name)
        new.replace(self.path)

    def unplug(self) -> None:
        """Take the port away; whoever has it open is hung up."""
        assert self._master is not None
        self.path.unlink()
        os.close(self._master)
        self._master = None

    def feed(self, data: bytes, baud: int | None = None, chunk: int = 32) -> int:
        """Send to the gateway, at ``baud`` if given; return how many bytes were accepted.

        What does not fit into a full buffer is lost, as in a UART; nothing here ever blocks.
        """
        assert self._master is not None
        sent, due = 0, time.monotonic()
        for start in range(0, len(data), chunk):
            part = data[start : start + chunk]
            with suppress(BlockingIOError):
                sent += os.write(self._master, part)
            if baud:
                due += len(part) * BITS_A_BYTE / baud
                time.sleep(max(0.0, due - time.monotonic()))
        return sent

    def feed_all(self, data: bytes, baud: int | None = None, chunk: int = 32) -> int:
        """Send as `feed` does, but wait where the gateway's buffer is full: nothing is lost."""
        assert self._master is not None
        sent, due = 0, time.monotonic()
        while sent < len(data):
            select.select([], [self._master], [])
            count = os.write(self._master, data[sent : sent + chunk])
            sent += count
            if baud:
                due += count * BITS_A_BYTE / baud
                time.sleep(max(0.0, due - time.monotonic()))
        return sent

    def read(self, size: int, timeout_s: float = 60.0) -> bytes:
        """Wait for ``size`` bytes from the gateway; return fewer only when the time is over."""
        assert self._master is not None
        deadline = time.monotonic() + timeout_s
        data = b""
        while len(data) < size and (left_s := deadline - time.monotonic()) > 0:
            if select.select([self._master], [], [], left_s)[0]:
                data += os.read(self._master, size - len(data))
        return data
