"""A replay in this process, and the command as a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from sensord.errors import SensordError
from sensord.log.journal import Batch
from sensord.playback import MAX, Options
from sensord.recordings import EVERYTHING, Selection, in_order, open_recording, scan_all
from sensord.replay_app import TOPICS, ReplayApp
from tests.kit.daemon import REPOSITORY, SENSORD
from tests.kit.journal import Row, rows

__all__ = ["ReplayProcess", "Served", "rows_of"]


def rows_of(*paths: Path, selection: Selection = EVERYTHING) -> list[Row]:
    """Read recordings in their order."""
    recordings = in_order([open_recording(path) for path in paths])
    found: list[Row] = []
    for item in scan_all(recordings, selection):
        if isinstance(item, Batch):
            found += rows(item.records())
    return found


class Served:
    """Recordings served in this process, as long as the block lasts."""

    def __init__(
        self, paths: Sequence[Path], options: Options | None = None, *, is_exiting: bool = False
    ) -> None:
        recordings = in_order([open_recording(path) for path in paths])
        chosen = options or Options(speed=MAX, selection=Selection(TOPICS))
        listen = ["127.0.0.1:0"]
        self.replaying = ReplayApp(recordings, chosen, listen, is_exiting=is_exiting)
        self.url = ""
        self.failure: SensordError | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        listening: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._task = asyncio.ensure_future(self.replaying.run(listening.set_result))
        await asyncio.wait((self._task, listening), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._task.result()
        self.url = f"ws://{listening.result()[0]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.replaying.stop()
        await self.ended()

    async def ended(self) -> None:
        """Wait until it is over, and keep how it failed if it did."""
        assert self._task is not None
        try:
            await self._task
        except SensordError as error:
            self.failure = error


class ReplayProcess:
    """`sensord replay` as somebody starts it."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.url = ""
        self.told: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [*SENSORD, "replay", *self._arguments, "--listen", "127.0.0.1:0"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.told.append(line)
            if found := re.search(r"listening on (ws://\S+);", line):
                self.url = found[1]
                break
        assert self.url, "".join(self.told)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        _, rest = self._process.communicate()
        self.told.append(rest)
        if error is not None:
            print("".join(self.told), file=sys.stderr)  # noqa: T201  # pytest shows it

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal; return the exit status."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return the exit status when it has ended by itself."""
        return self._process.wait(20)
