"""Ask a daemon for one thing and print the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from sensord.client import Client
from sensord.errors import ProtocolError, SensordError

__all__ = ["asked"]


def asked(
    url: str, name: str, ask: Callable[[Client], Awaitable[str]], identity: Path | None = None
) -> int:
    """Ask a daemon for something, print the answer, and return the exit status."""

    async def run() -> None:
        key = _key(identity)
        async with Client(url, name=f"sensord {name}", key=key) as client:
            if identity is not None and client.key != key:
                _keep(identity, client.key)
            try:
                if answer := await ask(client):
                    print(answer)
            except ProtocolError as exc:
                told = "" if exc.present is None else f"\n{json.dumps(exc.present)}"
                raise SensordError(f"{exc}{told}") from exc

    asyncio.run(run())
    return 0


def _key(identity: Path | None) -> str:
    try:
        return "" if identity is None else identity.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise SensordError(f"{identity}: cannot be read: {exc}") from exc


def _keep(identity: Path, key: str) -> None:
    """Write down who we are, for our own eyes only."""
    try:
        identity.touch(0o600)
        identity.write_text(f"{key}\n")
    except OSError as exc:
        raise SensordError(f"{identity}: cannot be written: {exc.strerror}") from exc
