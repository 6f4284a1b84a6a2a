"""`sensord publish`: publish readings of a topic that is open for clients."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError

from sensord.cli.asking import asked
from sensord.cli.options import configure_client, value_of
from sensord.client import Client
from sensord.errors import ProtocolError
from sensord.model import Value

__all__ = ["configure", "run"]

FROM_INPUT = "-"

HELP = """\
With - as the value, each line of the standard input is one: `my-sensor | sensord publish lab/a -`.
A topic is bad (disconnected) when its publisher is gone, as this command is when it ends, unless
the configuration says that its values stay.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = HELP
    parser.add_argument("topic", help="one that [clients.topics] opens")
    parser.add_argument(
        "value", type=value_of, help="JSON, or a text; - for the lines of the standard input"
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Publish one and print its offset, or each line as long as there are any."""
    is_piped = options.value == FROM_INPUT

    async def publish(client: Client) -> str:
        if not is_piped:
            return str(await client.publish(options.topic, options.value))
        async for value in _lines():
            try:
                await client.publish(options.topic, value)
            except ProtocolError as exc:
                if exc.code != "bad_request":
                    raise
                print(f"-- not published: {exc.message}", file=sys.stderr)
        return ""

    return asked(options, "publish", publish, stays=is_piped)


async def _lines() -> AsyncIterator[Value]:
    """Yield the value in each line; one that is none is told and left out."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes] = asyncio.Queue(1)

    def read() -> None:
        # A thread, for no event loop waits for a file; it ends with the process.
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop has ended
            for line in sys.stdin.buffer:
                asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(b""), loop).result()

    threading.Thread(target=read, name="read:stdin", daemon=True).start()
    while line := await lines.get():
        text = line.decode(errors="replace").strip()
        if not text:
            continue
        try:
            yield value_of(text)
        except argparse.ArgumentTypeError as exc:
            print(f"-- not published: {exc}", file=sys.stderr)
