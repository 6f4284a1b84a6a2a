"""A command in a terminal of its own: a pseudo-terminal whose screen a test reads and types on."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import pyte

from tests.kit.daemon import REPOSITORY, SENSORD

__all__ = ["ENTER", "ESCAPE", "Terminal"]

WAIT_S = 60.0

ENTER, ESCAPE = "\r", "\x1b"


class Terminal:
    """Runs a command; what it writes is drawn on a screen of the given size."""

    def __init__(
        self,
        arguments: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        *,
        command: Sequence[str] = SENSORD,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments = [*command, *arguments]
        base = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self._environment = {**kept, **base, **(environment or {})}
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._size = (columns, lines)
        self.written = bytearray()
        """Everything that it has written."""
        self._changed = threading.Condition()
        self._is_over = False

    def __enter__(self) -> Self:
        self._terminal, theirs = pty.openpty()
        self._set_size(*self._size)
        self._process = subprocess.Popen(
            self._arguments,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=self._environment,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        os.close(theirs)
        self._end, self._wake = os.pipe()
        self._reader = threading.Thread(target=self._read, name="terminal")
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.write(self._wake, b".")
        self._reader.join()
        for descriptor in (self._terminal, self._end, self._wake):
            os.close(descriptor)
        if error is not None:
            print("\n".join(self.lines))  # noqa: T201  # pytest shows it

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> list[str]:
        """The lines of the screen."""
        with self._changed:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The whole screen."""
        return "\n".join(self.lines)

    @property
    def colours(self) -> set[str]:
        """The colours that are on the screen."""
        with self._changed:
            return {cell.fg for row in self._screen.buffer.values() for cell in row.values()}

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._terminal, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Give the terminal another size, as a person who drags its corner."""
        with self._changed:
            self._screen.resize(lines, columns)
        self._set_size(columns, lines)
        os.kill(self._process.pid, signal.SIGWINCH)

    def wait_until(self, holds: Callable[[str], object]) -> str:
        """Wait until something holds for the screen; return the screen."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: holds("\n".join(self._screen.display)) or self._is_over, WAIT_S
            )
        text = self.text
        assert found, f"never on the screen:\n{text}"
        assert holds(text), f"ended with:\n{text}"
        return text

    def wait_for(self, wanted: str) -> str:
        """Wait until a text is on the screen; return the screen."""
        return self.wait_until(lambda text: wanted in text)

    def wait(self) -> int:
        """Wait until the command ends; return its exit status."""
        return self._process.wait(WAIT_S)

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _set_size(self, columns: int, lines: int) -> None:
        packed = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, packed)

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._terminal, self._end], [], [])
            if self._terminal in ready:
                try:
                    data = os.read(self._terminal, 65536)
                except OSError:
                    data = b""
                with self._changed:
                    if data:
                        self.written += data
                        self._stream.feed(data)
                    else:
                        self._is_over = True
                    self._changed.notify_all()
                if not data:
                    return
            elif self._end in ready:
                return
