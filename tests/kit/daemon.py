"""The daemon as its users start it: a process of its own, on a configuration of its own."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

from tests.kit.loops import DEADLINE_S

__all__ = ["SENSORD", "Daemon", "on_uvloop", "sensord"]

SENSORD = [sys.executable, "-m", "sensord"]

START_S = 60.0
"""It takes half a second, but other tests may be using the processor."""

REPOSITORY = Path(__file__).parents[2]


def sensord(*arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*SENSORD, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        cwd=REPOSITORY,
    )


class Daemon:
    """`sensord run`; stops and starts again on the port that it got the first time."""

    def __init__(
        self,
        folder: Path,
        config: str,
        *,
        under: Sequence[str] = (),
        command: Sequence[str] = (*SENSORD, "run"),
        listen: Sequence[str] = (),
        passes: Sequence[int] = (),
    ) -> None:
        """With ``listen``, it is ready before its addresses are: they may be missing.

        ``passes`` are descriptors that it inherits.
        """
        self._passes = passes
        self._command = command
        self._under = under  # a command that runs it, such as unshare
        self._listen = listen
        self._file = folder / "config.toml"
        self._config = config
        self.address = "127.0.0.1:0"
        self._addresses = ""
        self.log: list[str] = []
        self._logged = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._has_ended = False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()
        if error is not None:
            print("".join(self.log), file=sys.stderr)  # noqa: T201  # pytest shows it

    @property
    def url(self) -> str:
        return f"ws://{self.address}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(self, config: str) -> None:
        """Give it another configuration for its next start."""
        self._config = config

    def rewrite(self, config: str) -> None:
        """Write another configuration into its file while it runs."""
        self._config = config
        # A test that wants a journal says where.
        journal = "" if "journal" in config else "journal.enabled = false\n"
        self._file.write_text(f"server.listen = [{self._addresses}]\n{journal}{config}")

    def start(self) -> None:
        """Start it and return when it is ready."""
        self._addresses = ", ".join(f'"{one}"' for one in self._listen or [self.address])
        self.rewrite(self._config)
        self.log = []
        self._has_ended = False
        self._process = subprocess.Popen(
            [*self._under, *self._command, str(self._file)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            pass_fds=self._passes,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        if not self._listen:
            found = re.search(r"addresses=(\S+)", self.wait_for_log("listening"))
            assert found is not None
            self.address = found[1]
        self.wait_for_log("ready")

    def stop(self) -> tuple[int, float]:
        """End it as systemd does; return the exit status and the seconds that it took."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> tuple[int, float]:
        """Wait until it ends; return the exit status and the seconds that it took."""
        assert self._process is not None
        began = time.monotonic()
        status = self._process.wait(timeout=START_S)
        took_s = time.monotonic() - began
        self._forget()
        return status, took_s

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._forget()

    def _forget(self) -> None:
        assert self._reader is not None
        self._reader.join()
        self._process = None

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                with self._logged:
                    self.log.append(line)
                    self._logged.notify_all()
        with self._logged:
            self._has_ended = True
            self._logged.notify_all()

    def wait_for_log(self, text: str) -> str:
        """Wait for a line that contains ``text``; return it."""

        def found() -> list[str]:
            return [line for line in self.log if text in line]

        with self._logged:
            self._logged.wait_for(lambda: found() or self._has_ended, timeout=START_S)
            assert found(), f"never logged {text!r}:\n{''.join(self.log)}"
            return found()[0]

    # -- what it costs -----------------------------------------------------------------------------

    def descriptors(self) -> int:
        """Count its open descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def cpu_s(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Return its memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


Test = Callable[..., Coroutine[Any, Any, None]]


def on_uvloop(deadline_s: float = DEADLINE_S) -> Callable[[Test], Callable[..., None]]:
    """Make an async test run once, on uvloop: the daemon has a loop of its own."""

    def decorate(test: Test) -> Callable[..., None]:
        @functools.wraps(test)
        def on_loop(**fixtures: Any) -> None:
            async def in_time() -> None:
                async with asyncio.timeout(deadline_s):
                    await test(**fixtures)

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(in_time())

        on_loop.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # PEP 362
        return on_loop

    return decorate


async def in_thread(act: Callable[..., Any], *args: Any) -> Any:
    """Run what blocks without stopping the loop."""
    return await asyncio.to_thread(act, *args)
