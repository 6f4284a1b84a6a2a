"""An instrument at the other end of a serial line: it takes commands, and answers as it is told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.kit.fakeport import FakePort

__all__ = ["Instrument"]

Answer = Callable[[str], str | None]


class Instrument(FakePort):
    """Answers each line of the gateway; ``after_s`` is the time that it takes."""

    def __init__(self, path: Path, answer: Answer, *, after_s: float = 0.0) -> None:
        super().__init__(path)
        self.lines: list[str] = []
        self.overruns: list[str] = []
        """Lines that came before the answer to the one before was out."""
        self._answer = answer
        self._after_s = after_s
        self._is_busy = False
        self._got = b""
        self._changed = asyncio.Event()

    def __enter__(self) -> Self:
        super().__enter__()
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._master is not None:
            asyncio.get_running_loop().remove_reader(self._master)
        super().__exit__(kind, error, trace)

    def listen(self) -> None:
        """Begin to listen: after each plug."""
        assert self._master is not None
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def unplug(self) -> None:
        assert self._master is not None
        asyncio.get_running_loop().remove_reader(self._master)
        super().unplug()

    async def until(self, condition: Callable[[list[str]], object]) -> None:
        """Wait until the lines that have come fulfil a condition."""
        while not condition(self.lines):
            self._changed.clear()
            await self._changed.wait()

    async def lines_are(self, count: int) -> None:
        """Wait until so many lines have come."""
        await self.until(lambda lines: len(lines) == count)

    async def more(self, count: int) -> None:
        """Wait until more than so many further lines have come."""
        until = len(self.lines) + count
        await self.until(lambda lines: len(lines) > until)

    def commands(self) -> list[str]:
        """Return the lines that are no polls."""
        return [line for line in self.lines if not line.startswith("READ")]

    def _readable(self) -> None:
        assert self._master is not None
        with suppress(OSError):  # nobody has it open
            self._got += os.read(self._master, 4096)
        *lines, self._got = self._got.split(b"\n")
        for raw in lines:
            line = raw.decode("latin-1").strip()
            self.lines.append(line)
            if self._is_busy:
                self.overruns.append(line)
            answer = self._answer(line)
            if answer is not None:
                self._is_busy = True
                asyncio.get_running_loop().call_later(self._after_s, self._say, answer)
        self._changed.set()

    def _say(self, answer: str) -> None:
        self._is_busy = False
        if self._master is not None:
            self.feed(answer.encode("latin-1"))
