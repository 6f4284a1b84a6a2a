"""Connect a command to a daemon, for one request or until the command ends."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import getpass
import json
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import uvloop

from sensord.cli.hints import note_losses
from sensord.cli.options import MAX_NAME_CHARACTERS, token_of, trust_of
from sensord.client import Client
from sensord.errors import ProtocolError, SensordError

__all__ = ["PART_S", "asked", "being", "client_for", "name_of"]

PART_S = 1.0
"""How long to wait for the daemon when parting; an absent one need not be asked."""

TERMINATED = 128 + signal.SIGTERM

OWNER_ONLY = 0o600

_KEY = re.compile(r"[0-9a-f]{1,64}\.[0-9a-f]{32}")


def name_of(command: str) -> str:
    """Return the client name of a command: the command, its user and host."""
    try:
        who = f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a user or a host without a name
        return f"sensord {command}"
    return f"sensord {command}, {who}"[:MAX_NAME_CHARACTERS]


def asked(
    options: argparse.Namespace,
    command: str,
    ask: Callable[[Client], Awaitable[str]],
    *,
    stays: bool = False,
    groups: Sequence[str] | None = None,
) -> int:
    """Send a request to a daemon, print the answer, and return the exit status.

    Unless it ``stays`` or has an identity, the client is gone when its connection ends, so that
    finished commands do not appear among the clients.
    """

    async def run() -> None:
        async with client_for(options, command, stays=stays, groups=groups) as client:
            if answer := await ask(client):
                print(answer)

    return being(run)


def being(run: Callable[[], Awaitable[None]]) -> int:
    """Run a command until it ends or receives SIGTERM; return the exit status."""

    async def until_reported() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await run()

    try:
        uvloop.run(until_reported())
    except asyncio.CancelledError:
        return TERMINATED
    return 0


@asynccontextmanager
async def client_for(
    options: argparse.Namespace,
    command: str,
    *,
    stays: bool = False,
    groups: Sequence[str] | None = None,
) -> AsyncIterator[Client]:
    """Connect according to the options, and report a refusal in one line."""
    identity: Path | None = options.identity
    with _Kept(identity) as kept:
        # Held until the server has answered, so that commands that start together take turns.
        client = Client(
            options.url,
            name=options.name or name_of(command),
            key=kept.key,
            groups=groups,
            is_ephemeral=not stays and identity is None,
            token=token_of(options),
            trust=trust_of(options),
        )
        await client.__aenter__()
        note_losses(client)
        kept.keep(client.key)
    async with _entered(client):
        try:
            yield client
        except ProtocolError as exc:
            present = "" if exc.present is None else f"\n{json.dumps(exc.present)}"
            raise SensordError(f"{exc}{present}") from exc
        finally:
            if stays and identity is None:
                await _part(client)


async def _part(client: Client) -> None:
    """Send bye to the server: no later client can continue this one."""
    with contextlib.suppress(SensordError, TimeoutError):
        async with asyncio.timeout(PART_S):
            await client.bye()


@asynccontextmanager
async def _entered(client: Client) -> AsyncIterator[None]:
    """Close an already open client at the end."""
    try:
        yield
    finally:
        await client.__aexit__(None, None, None)


class _Kept:
    """The file with the client's identity, readable by its owner only.

    A file with other content is left alone. While the file is locked, another command with the
    same identity waits.
    """

    def __init__(self, path: Path | None) -> None:
        self.key = ""
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> Self:
        if self._path is None:
            return self
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            text = os.read(self._file, 4096).decode().strip()
        except (OSError, ValueError) as exc:
            self._close()
            raise SensordError(f"{self._path}: cannot be used: {exc}") from exc
        if text and not _KEY.fullmatch(text):
            self._close()
            raise SensordError(f"{self._path}: not a client's identity; name another file")
        self.key = text
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def keep(self, key: str) -> None:
        """Store the key that the server has assigned."""
        if self._file is None or key == self.key:
            return
        try:
            os.fchmod(self._file, OWNER_ONLY)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{key}\n".encode(), 0)
        except OSError as exc:
            raise SensordError(f"{self._path}: cannot be written: {exc.strerror}") from exc

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
