"""Drive `subscriber.c`: thousands of WebSocket clients that count, and measure latency.

A Python subscriber would be the slowest part of every measurement.
"""

from __future__ import annotations

import json
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgpack

from bench.processes import cpu_s, find_program

__all__ = ["Endpoint", "Subscribers", "Window", "compiled", "sensord", "watch"]

READY_S = 60.0
ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to subscribe: what `subscriber.c` is told."""

    protocol: str
    port: int
    path: str
    subprotocol: str
    messages: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """What all connections received since the last mark; ``total…`` since they were made."""

    alive: int
    seconds: float
    readings: int
    frames: int
    bytes: int
    missing: int
    doubled: int
    p50_us: int
    p99_us: int
    max_us: int
    total: int
    total_least: int
    total_most: int
    cpu_s: float


EVERYTHING = ("#", "$sys/#", "$audit/#")
"""With everything subscribed, a cursor advances by exactly what was received: losses show."""


def sensord(port: int, *topics: str, **options: object) -> Endpoint:
    """Subscribe to a sensord, live; ``options`` are those of the protocol's ``subscribe``."""
    hello = {"op": "hello", "id": 1, "client": "bench"}
    wanted = {"topics": topics or EVERYTHING, "from": "now", **options}
    subscribe = {"op": "subscribe", "id": 2, **wanted}
    messages = tuple(msgpack.packb(one) for one in (hello, subscribe))
    return Endpoint("sensord", port, "/v1", "sensord.v1.msgpack", messages)


def compiled(folder: Path) -> Path:
    """Compile the subscriber into ``folder``.

    Raises:
        Unavailable: There is no C compiler.
    """
    compiler = find_program("cc", "install a C compiler, such as Debian's gcc")
    program = folder / "subscriber"
    if not program.exists():
        source = Path(__file__).with_name("subscriber.c")
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program


class Subscribers:
    """A process with ``count`` connections; ready when the block begins."""

    def __init__(
        self,
        program: Path,
        endpoint: Endpoint,
        count: int,
        *,
        receive_buffer: int = 0,
        stamp: str = "time",
        groups: int = 1,
    ) -> None:
        self._command = [
            str(program),
            endpoint.protocol,
            str(endpoint.port),
            endpoint.path,
            endpoint.subprotocol,
            str(count),
            str(receive_buffer),
            stamp,
            str(groups),
            *(message.hex() for message in endpoint.messages),
        ]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer(READY_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def mark(self) -> None:
        """Begin a new window."""
        self._tell_it("m")

    def tell(self) -> Window:
        """Return what came since the mark."""
        self._tell_it("t")
        return Window(**json.loads(self._answer(ANSWER_S)))

    def stop(self) -> None:
        """Suspend the process: its clients stay connected and read nothing more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def _tell_it(self, command: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(command)
        self._process.stdin.flush()

    def _answer(self, timeout_s: float) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            raise TimeoutError("the subscribers did not answer")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the subscribers ended with {self._process.wait()}")
        return line


def watch(pid: int, live: Subscribers, seconds: float) -> tuple[Window, float]:
    """Return the live monitors' window and the CPU share of a process meanwhile."""
    live.mark()
    before, begun = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    share = (cpu_s(pid) - before) / (time.monotonic() - begun)
    return live.tell(), share
