"""What the audience sees: numbered scenes on one time line, and what was promised in them."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["BrokenError", "Show"]

PROMISE_S = 20.0
"""What has not come by then does not come; it takes milliseconds, but a machine may be busy."""


class BrokenError(Exception):
    """A promise was not kept; the text names it."""


class Show:
    """Tells what each saw, and when."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.lines: list[str] = []
        self.scenes = 0
        self._write = write
        self._title = ""

    def scene(self, title: str) -> None:
        """Begin the next scene."""
        self.scenes += 1
        self._title = f"{self.scenes}. {title}"
        self._out("")
        self._out(self._title)

    def say(self, who: str, what: str) -> None:
        """Say what somebody sees or does at this moment."""
        now_s = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now_s))
        self._out(f"{clock}.{int(now_s * 10) % 10} {who:<8}  {what}")

    @asynccontextmanager
    async def promise(self, text: str) -> AsyncIterator[None]:
        """Promise that what follows holds, and comes in time.

        Raises:
            BrokenError: It did not.
        """
        try:
            async with asyncio.timeout(PROMISE_S):
                yield
        except Exception as exc:
            place = traceback.extract_tb(exc.__traceback__)[-1]
            why = str(exc) or type(exc).__name__
            where = f"{Path(place.filename).name}:{place.lineno}: {place.line}"
            raise BrokenError(f"broken in {self._title!r}: {text}\n  {why}, at {where}") from exc

    def end(self) -> None:
        """Say that every promise was kept."""
        self._out("")
        self._out(f"{self.scenes} scenes, all as promised")

    def _out(self, line: str) -> None:
        self.lines.append(line)
        self._write(line)
