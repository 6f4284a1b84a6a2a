"""Debian's PostgreSQL of one's own, on a free port; it is killed and starts again."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
import pytest

from tests.kit.broker import free_port

__all__ = ["Postgres"]

START_S = 60.0
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


class Postgres:
    """A server with the database ``postgres``, whose superuser needs no password."""

    def __init__(self) -> None:
        if not PROGRAMS:
            pytest.skip("postgres is not installed: apt-get install postgresql")
        self._bin = PROGRAMS[-1].parent
        self._data = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.port = free_port()
        self._as: list[str] = []
        if os.getuid() == 0:  # it refuses to run as root, and root's folders are closed to it
            user = pwd.getpwnam("postgres")
            os.chown(self._data, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            self._as.append("--clear-groups")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-A", "trust", "-N"]
        command += ["-U", "postgres", "-E", "UTF8", "--locale=C"]
        made = subprocess.run([*self._as, *command], capture_output=True, check=False, cwd="/")
        assert made.returncode == 0, made.stderr.decode()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)

    def start(self) -> None:
        """Start it, and return when it answers."""
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        self._process = subprocess.Popen(
            [*self._as, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        until = time.monotonic() + START_S
        while True:
            try:
                self.query("SELECT 1")
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                assert time.monotonic() < until, "postgres does not answer"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it and all its processes at once."""
        if self._process is not None:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            pids = [int(one) for one in children.read_text().split()]
            self._process.kill()
            self._process.wait()
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._process = None

    def query(self, text: str, *args: object) -> Sequence[Any]:
        """Return the rows that a query gives."""

        async def asked() -> Sequence[Any]:
            connection = await asyncpg.connect(self.url, timeout=10)
            try:
                return await connection.fetch(text, *args)
            finally:
                await connection.close()

        return asyncio.run(asked())
