"""`sensord serve`: offer a service whose calls a program in any language answers."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence

from sensord.cli.connection import asked
from sensord.cli.options import configure_client, count, duration, value_of
from sensord.client import Asked, Client, FailedError
from sensord.errors import UsageError
from sensord.model.readings import Value

__all__ = ["configure", "run"]

HELP = """\
Each call runs the program with the arguments as JSON on standard input, and with
SENSORD_CALLER_ID and SENSORD_CALLER_NAME in the environment. Its output is the answer: JSON;
anything else is text. With --parts each line of output is sent at once as a part, and the final
answer is null. If the exit status is not 0, the call fails with the last line of standard error.
A program that exceeds --timeout is ended.

  sensord serve backup --timeout 5m -- ./backup.sh --fast
"""

MAX_ANSWER_BYTES = 1024 * 1024
"""More than any message can hold, so that a larger answer is refused by its size."""

CHUNK_BYTES = 65_536

END_S, LOOK_S = 2.0, 0.05
"""How long a program may take to end, and how often to check its children: no event does."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    add = parser.add_argument
    add("service", help="the service's name")
    add("program", nargs="+", help="the program to run, with its arguments; after --")
    add("--description", default="", help="what the service does, for people")
    add("--timeout", type=duration, default=30.0, help="how long a call may take (default: 30s)")
    add("--at-once", type=count, default=4, metavar="N", help="calls at a time (default: 4)")
    add("--parts", action="store_true", help="send each line of output as a part of the answer")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, or until another session of the same client offers the name."""
    if shutil.which(options.program[0]) is None:
        raise UsageError(f"no program {options.program[0]!r}; name the program to run after --")

    async def serve(client: Client) -> str:
        program = _Program(options.program, options.at_once, tells_parts=options.parts)
        service = client.serve(
            options.service,
            program.answer,
            description=options.description,
            timeout_s=options.timeout,
        )
        async with service:
            print(f"-- {options.service} can be called; Ctrl-C ends it", file=sys.stderr)
            await service.wait()
        return ""

    return asked(options, "serve", serve, stays=True)


class _Program:
    """Runs a program for each call, a limited number at a time."""

    def __init__(self, command: Sequence[str], at_once: int, *, tells_parts: bool) -> None:
        self._command = command
        self._gate = asyncio.Semaphore(at_once)
        self._tells_parts = tells_parts

    async def answer(self, asked: Asked) -> Value:
        """Run the program; return its output.

        Raises:
            FailedError: It could not be run, or failed.
        """
        async with self._gate:
            caller = {
                "SENSORD_CALLER_ID": asked.caller_id,
                "SENSORD_CALLER_NAME": asked.caller_name,
            }
            process = await self._start(os.environ | caller)
            try:
                return await self._converse(process, asked)
            except BaseException:
                await _end(process)
                raise

    async def _start(self, environment: Mapping[str, str]) -> Process:
        try:
            # A session of its own, so that its children end with it.
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=environment,
                start_new_session=True,
                limit=MAX_ANSWER_BYTES,
            )
        except OSError as exc:
            raise FailedError(f"{self._command[0]}: {exc.strerror}") from exc

    async def _converse(self, process: Process, asked: Asked) -> Value:
        assert process.stdin is not None
        assert process.stderr is not None
        value, complaint, _ = await asyncio.gather(
            self._read(process, asked), _last_line(process.stderr), _give(process, asked.args)
        )
        status = await process.wait()
        if status:
            raise FailedError(complaint or f"{self._command[0]} ended with {status}")
        return value

    async def _read(self, process: Process, asked: Asked) -> Value:
        assert process.stdout is not None
        if not self._tells_parts:
            text = bytearray()
            while some := await process.stdout.read(CHUNK_BYTES):
                text += some
                if len(text) > MAX_ANSWER_BYTES:
                    raise FailedError("the answer is too large; send it with --parts")
            return _value(bytes(text))
        try:
            while line := await process.stdout.readline():
                await asked.part(_value(line))
        except ValueError as exc:
            raise FailedError("a line is too long to be sent as a part") from exc
        return None


async def _give(process: Process, args: Mapping[str, Value]) -> None:
    """Write the arguments; a program need not read them."""
    assert process.stdin is not None
    # uvloop's own error, for a pipe that the program has closed.
    with contextlib.suppress(OSError, RuntimeError):
        process.stdin.write(json.dumps(args).encode())
        await process.stdin.drain()
    process.stdin.close()


async def _last_line(errors: asyncio.StreamReader) -> str:
    """Pass on the standard error; return its last line."""
    last = ""
    while True:
        try:
            line = await errors.readline()
        except ValueError:
            continue  # it was too long, and is gone
        if not line:
            return last
        text = line.decode(errors="replace").rstrip()
        print(text, file=sys.stderr, flush=True)
        last = text or last


async def _end(process: Process) -> None:
    """End a program and its children, because nobody waits for its answer any more."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            async with asyncio.timeout(END_S):
                # The program may have ended before what it has started.
                while True:
                    os.killpg(process.pid, 0)
                    await asyncio.sleep(LOOK_S)
        except ProcessLookupError:
            break
        except TimeoutError:
            continue
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    await process.wait()


def _value(text: bytes) -> Value:
    plain = text.decode(errors="replace").strip()
    try:
        return value_of(plain)
    except argparse.ArgumentTypeError:
        return plain
