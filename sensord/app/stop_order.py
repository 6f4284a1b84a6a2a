"""The order of a stop: step after step, even if an earlier one failed.

Owns which steps failed and the deadline of the whole; knows nothing of what the steps do. A step
that raises is logged and noted, one that exceeds its deadline is abandoned. A step that blocks the
loop itself can only be ended with the process: a thread does that when the whole stop has taken too
long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Self

from sensord.errors import SensordError

__all__ = ["StopError", "StopOrder", "stuck_threads"]

log = logging.getLogger("sensord.stop")

Step = Callable[[], Coroutine[None, None, None]]

LONGEST_S = 30.0
"""All steps together have deadlines that are shorter; below systemd's default of 90 s."""

THREAD_S = 0.5
"""How long a thread may run after it was asked to end."""


class StopError(SensordError):
    """Steps of the stop failed: what they should have kept may be lost."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__(steps)
        self.steps = steps

    def __str__(self) -> str:
        return f"the stop was not clean: {', '.join(self.steps)}"


class StopOrder:
    """Runs the steps, and keeps the names of those that failed."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self.failed: list[str] = []
        self.is_broken = False
        """Whether a step failed in an unforeseen way: what it left open may never close."""
        self._longest_s = longest_s
        self._is_over = threading.Event()
        self._guard = threading.Thread(target=self._watch, name="stop-deadline", daemon=True)

    def __enter__(self) -> Self:
        self._guard.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._guard.join()

    def step(self, name: str, act: Callable[[], None]) -> None:
        """Do a step that does not wait."""
        try:
            act()
        except Exception as exc:  # noqa: BLE001  # the catch-all of the module's docstring
            self._note(name, exc)

    async def wait(self, name: str, act: Step, deadline_s: float) -> None:
        """Do a step that waits, no longer than its deadline."""
        task = asyncio.create_task(self._carried(act), name=f"stop:{name}")
        await asyncio.wait({task}, timeout=deadline_s)
        if not task.done():
            self.is_broken = True
            task.cancel()
            self._note(name, SensordError(f"it took longer than {deadline_s:g} s"))
        elif error := task.exception():
            self._note(name, error)

    async def _carried(self, act: Step) -> None:
        await act()

    def _note(self, name: str, error: BaseException) -> None:
        self.failed.append(name)
        unforeseen = None if isinstance(error, SensordError) else error
        self.is_broken |= unforeseen is not None
        fields = {"step": name, "reason": str(error) or type(error).__name__}
        log.error("a step of the stop failed", extra=fields, exc_info=unforeseen)

    def _watch(self) -> None:
        if not self._is_over.wait(self._longest_s):
            log.error("the stop hangs, cut off", extra={"after_s": self._longest_s})
            logging.shutdown()
            os._exit(1)


def stuck_threads(prefix: str, within_s: float = THREAD_S) -> list[str]:
    """Return the names of threads that were asked to end and did not: the disk holds them.

    The interpreter would wait for them before it ends.
    """
    until = time.monotonic() + within_s
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return sorted(thread.name for thread in threads if thread.is_alive())
