"""`sensord publish`: publish readings of a topic that is open to clients."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError

from sensord.cli.connection import asked
from sensord.cli.options import configure_client, value_of
from sensord.client import Client
from sensord.errors import ProtocolError, SensordError

__all__ = ["configure", "run"]

FROM_INPUT = "-"

STDIN = 0

CHUNK_BYTES, MAX_LINE_BYTES = 65_536, 1024 * 1024

HELP = """\
With - as the value, each line of standard input is a value: `my-sensor | sensord publish lab/a -`.
Prints the reading's offset. When this command ends, the topic turns bad: disconnected, unless
its [clients.topics] entry has retain = true.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = HELP
    parser.add_argument("topic", help="a topic that [clients.topics] allows")
    parser.add_argument("value", type=value_of, help="JSON or text; -: the lines of standard input")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Publish one value and print its offset, or publish each line of the input."""
    is_piped = options.value == FROM_INPUT

    async def publish(client: Client) -> str:
        if not is_piped:
            return str(await client.publish(options.topic, options.value))
        refused = 0
        async for number, text in _lines():
            try:
                await client.publish(options.topic, value_of(text))
            except (ProtocolError, argparse.ArgumentTypeError) as exc:
                if isinstance(exc, ProtocolError) and exc.code != "bad_request":
                    raise
                why = exc.message if isinstance(exc, ProtocolError) else exc
                print(f"-- line {number} not published: {why}", file=sys.stderr)
                refused += 1
        if refused:
            raise SensordError(f"{refused} of {number} lines were not published")
        return ""

    return asked(options, "publish", publish, stays=is_piped)


async def _lines() -> AsyncIterator[tuple[int, str]]:
    """Yield each line with its number; empty ones are left out."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue(1)

    def put(line: bytes) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    def read() -> None:
        # A thread, because no event loop can wait for a file; it ends with the process. Unbuffered,
        # because the interpreter cannot end while a thread waits in a buffered file.
        rest = b""
        with contextlib.suppress(RuntimeError, CancelledError, OSError):  # the loop has ended
            while some := os.read(STDIN, CHUNK_BYTES):
                *whole, rest = (rest + some).split(b"\n")
                for line in whole:
                    put(line + b"\n")
                if len(rest) > MAX_LINE_BYTES:
                    rest = rest[:MAX_LINE_BYTES]  # not a value: it is refused at its end
            if rest:
                put(rest)
            put(b"")

    threading.Thread(target=read, name="read:stdin", daemon=True).start()
    number = 0
    while line := await lines.get():
        number += 1
        if text := line.decode(errors="replace").strip():
            yield number, text
