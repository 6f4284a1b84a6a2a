"""Programs under test: started on free ports, measured from outside, and ended for certain."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.report import Unavailable

__all__ = [
    "Program",
    "Sensord",
    "cpu_s",
    "find_program",
    "free_port",
    "rss_bytes",
    "wait_until_listening",
]

START_S = 20.0

CPUCLOCK_SCHED = 2
"""The nanosecond clock of a whole process, ended threads included. Source: clock_getcpuclockid."""


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, user and system, in seconds."""
    return time.clock_gettime((~pid << 3) | CPUCLOCK_SCHED)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(name: str, hint: str) -> str:
    """Return a program's path: beside the interpreter, on the path, or where daemons live.

    Raises:
        Unavailable: It is not installed; the text says how to get it.
    """
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise Unavailable(f"{name} is missing: {hint}")
    return found


class Program:
    """A process that is ended when the block ends; its output goes to a file in ``folder``."""

    stop_s = 5.0
    """How long it may take to end by itself."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self._command = list(command)
        self.output = folder / f"{name}-{time.monotonic_ns()}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's number."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it."""
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(self.stop_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Sensord(Program):
    """The real daemon, in a process of its own, listening on ``port``.

    ``records`` says whether it keeps its journal, which none of its peers here does.
    """

    def __init__(
        self, config: str, folder: Path, *, server: str = "", records: bool = False
    ) -> None:
        self.port = free_port()
        self.journal = folder / f"journal-{self.port}"
        file = folder / f"config-{self.port}.toml"
        lines = [
            "[server]",
            f'listen = ["127.0.0.1:{self.port}"]',
            server,
            "[logging]",
            'level = "warning"',
            "[journal]",
            f"enabled = {str(records).lower()}",
            f'folder = "{self.journal}"',
            config,
        ]
        file.write_text("\n".join(lines))
        self._config = file
        super().__init__("sensord", [], folder)
        self.run_module("sensord")

    def run_module(self, *module: str) -> None:
        """Run this module, which may take arguments of its own before ``run CONFIG``."""
        self._command = [sys.executable, "-m", *module, "run", str(self._config)]

    def offset(self) -> int:
        """Return the offset that its log has reached."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as page:
            told = json.load(page)
        return int(told["offset"])

    def __enter__(self) -> Self:
        super().__enter__()
        wait_until_listening(self.port, self)
        return self


def wait_until_listening(port: int, program: Program) -> None:
    """Return once something accepts connections on ``port``."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError as exc:
            if not program.is_running or time.monotonic() > deadline:
                said = program.output.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"does not listen on {port}; it said: {said}") from exc
            time.sleep(0.002)
        else:
            return
