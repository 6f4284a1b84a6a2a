"""Ask a daemon for one thing, or be its client for as long as it takes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from sensord.cli.options import MAX_NAME_CHARACTERS
from sensord.client import Client
from sensord.errors import ProtocolError, SensordError

__all__ = ["asked", "being", "client_for", "name_of"]

PART_S = 1.0
"""A daemon that is not there need not be told."""

TERMINATED = 128 + signal.SIGTERM

_KEY = re.compile(r"[0-9a-f]{1,64}\.[0-9a-f]{32}")


def name_of(command: str) -> str:
    """Say which command it is and whose, for those who see it among the clients."""
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
    """Ask a daemon for something, print the answer, and return the exit status.

    Unless it ``stays`` or has an identity it is gone with its connection, so that nobody looks at
    commands that have ended.
    """

    async def run() -> None:
        async with client_for(options, command, stays=stays, groups=groups) as client:
            if answer := await ask(client):
                print(answer)

    return being(run)


def being(run: Callable[[], Awaitable[None]]) -> int:
    """Run what may take long, until it ends or is told to by SIGTERM; return the exit status."""

    async def until_told() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await run()

    try:
        uvloop.run(until_told())
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
    """Connect as the options say, and say what is refused in one line."""
    identity: Path | None = options.identity
    key = _key(identity)
    client = Client(
        options.url,
        name=options.name or name_of(command),
        key=key,
        groups=groups,
        is_brief=not stays and identity is None,
    )
    async with client:
        if identity is not None and client.key != key:
            _keep(identity, client.key)
        try:
            yield client
        except ProtocolError as exc:
            told = "" if exc.present is None else f"\n{json.dumps(exc.present)}"
            raise SensordError(f"{exc}{told}") from exc
        finally:
            if stays and identity is None:
                await _part(client)


async def _part(client: Client) -> None:
    """Let go of everything: nobody can come back as this client."""
    with contextlib.suppress(SensordError, TimeoutError):
        async with asyncio.timeout(PART_S):
            await client.ask("bye", {})


def _key(identity: Path | None) -> str:
    """Read who we are; a file that is not ours is left alone."""
    try:
        text = "" if identity is None else identity.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise SensordError(f"{identity}: cannot be read: {exc}") from exc
    if text and not _KEY.fullmatch(text):
        raise SensordError(f"{identity}: holds no identity of a client; name another file")
    return text


def _keep(identity: Path, key: str) -> None:
    """Write down who we are, for our own eyes only."""
    try:
        identity.touch(0o600)
        identity.write_text(f"{key}\n")
    except OSError as exc:
        raise SensordError(f"{identity}: cannot be written: {exc.strerror}") from exc
