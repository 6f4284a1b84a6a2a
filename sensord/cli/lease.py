"""`sensord lease`: hold a device, a topic or an action, so that nobody else acts on it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from sensord.cli.connection import PART_S, asked
from sensord.cli.listing import clock_of
from sensord.cli.options import configure_client, duration
from sensord.client import Client, Control, Lease
from sensord.errors import UsageError

__all__ = ["configure", "run"]

HELP = """\
list       say who holds what
take       hold it until --for is over, but no longer than the daemon waits for a client that is
           away (clients.grace); needs --identity, to be the same client again
renew      hold it for longer
give-back  let others act again
hold       hold it for as long as this command runs
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    parser.add_argument("act", choices=["list", "take", "renew", "give-back", "hold"])
    parser.add_argument(
        "subject",
        nargs="?",
        help="a device, a topic that can be set, published or lies under state/, or an action",
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=duration,
        default=60.0,
        metavar="TIME",
        help="how long, such as 5m (default: 60s)",
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Do it, and print who holds what until when."""
    if options.act == "list":
        if options.subject is not None:
            raise UsageError("list shows all leases: leave the subject out")
        return asked(options, "lease", _list)
    if options.subject is None:
        raise UsageError(f"say what to {options.act}")
    if options.identity is None and options.act != "hold":
        raise UsageError("say --identity FILE, or the next command is a stranger to this lease")

    async def act(client: Client) -> str:
        control = Control(client)
        match options.act:
            case "take":
                return _taken(await control.take(options.subject, options.duration), options)
            case "renew":
                return _taken(await control.renew(options.subject, options.duration), options)
            case "give-back":
                await control.give_back(options.subject)
                return ""
            case _:
                return await _hold(client, options.subject, options.duration)

    return asked(options, "lease", act, stays=True)


async def _hold(client: Client, subject: str, duration_s: float) -> str:
    """Renew it in time, again and again; give it back when interrupted."""
    control = Control(client)
    lease = await control.take(subject, duration_s)
    print(_line(lease), flush=True)
    print("-- until you press Ctrl-C", file=sys.stderr)
    try:
        while True:
            # By the server's own clock: it may give less than it was asked for.
            left_s = (lease.until_us - await client.ping()) / 1e6
            await asyncio.sleep(max(0.1, left_s / 3))
            lease = await control.renew(subject, duration_s)
    finally:
        # A daemon that is not there need not be told: it ends by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PART_S):
                await control.give_back(subject)


async def _list(client: Client) -> str:
    lines = []
    for update in await client.get("$sys/leases/#"):
        told = update.reading.value
        if isinstance(told, dict) and isinstance(told["holder"], dict):
            holder = told["holder"]
            until = clock_of(told["until_us"])
            lines.append(f"{told['subject']:<40} {holder['name']} ({holder['id']}) until {until}")
    if not lines:
        print("-- nobody holds anything", file=sys.stderr)
    return "\n".join(lines)


def _line(lease: Lease) -> str:
    return f"{lease.subject} is held until {clock_of(lease.until_us)}"


def _taken(lease: Lease, options: argparse.Namespace) -> str:
    """Say until when, and what it takes to keep it so long."""
    asked_us, given_us = round(options.duration * 1e6), lease.until_us - lease.since_us
    shorter = ", the longest that the daemon allows" if given_us < asked_us else ""
    keep = f"-- if you come back with --identity {options.identity} before clients.grace is over"
    print(keep, file=sys.stderr)
    return f"{_line(lease)}{shorter}"
