"""`sensord lease`: hold a device, a topic or an action, so that no other client acts on it."""

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

RENEWED_S = 60.0
"""Duration of a lease without --for, and the longest that `hold` requests at a time."""

SHORTEST_S = 1.0
"""The shortest lease; `hold` for less gives it back in time."""

HELP = """\
list       list all leases and their holders
take       take the lease for --for; it ends earlier if the client does not come back within
           clients.grace; needs --identity, so that later commands are the same client
renew      extend the lease
give-back  end the lease, so that others can act again
hold       hold the lease while this command runs, or for --for
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    parser.add_argument("act", choices=["list", "take", "renew", "give-back", "hold"])
    parser.add_argument(
        "subject",
        nargs="?",
        help="a device, an action, or a topic (one to set or publish, or one under state/)",
    )
    parser.add_argument(
        "--for",
        dest="duration",
        type=duration,
        metavar="TIME",
        help="how long, such as 5m (default: 60s; hold: until Ctrl-C)",
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Run the action, and print the lease or leases."""
    if options.act == "list":
        if options.subject is not None:
            raise UsageError("list shows all leases: leave out the subject")
        return asked(options, "lease", _list)
    if options.subject is None:
        raise UsageError(f"name what to {options.act}")
    if options.identity is None and options.act != "hold":
        raise UsageError("give --identity FILE: without it the next command is another client")

    duration_s = RENEWED_S if options.duration is None else options.duration

    async def act(client: Client) -> str:
        control = Control(client)
        match options.act:
            case "take":
                return _taken(await control.take(options.subject, duration_s), duration_s, options)
            case "renew":
                return _taken(await control.renew(options.subject, duration_s), duration_s, options)
            case "give-back":
                await control.give_back(options.subject)
                return ""
            case _:
                return await _hold(client, options.subject, options.duration)

    return asked(options, "lease", act, stays=True)


async def _hold(client: Client, subject: str, hold_s: float | None) -> str:
    """Keep renewing the lease; give it back after ``hold_s``, or when interrupted."""
    control = Control(client)
    asked_s = RENEWED_S if hold_s is None else max(SHORTEST_S, min(hold_s, RENEWED_S))
    lease = await control.take(subject, asked_s)
    print(_line(lease), flush=True)
    end = "until you press Ctrl-C" if hold_s is None else f"for {hold_s:g} s, or until Ctrl-C"
    print(f"-- {end}", file=sys.stderr)
    try:
        # Only this time-out ends the wait quietly; a cancellation raises.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(hold_s):
                while True:
                    # By the server's own clock: it may grant less than was requested.
                    left_s = (lease.until_us - await client.ping()) / 1e6
                    await asyncio.sleep(max(0.1, left_s / 3))
                    lease = await control.renew(subject, asked_s)
        return ""
    finally:
        # With an absent daemon the lease ends by itself.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PART_S):
                await control.give_back(subject)


async def _list(client: Client) -> str:
    lines = []
    for update in await client.get("$sys/leases/#"):
        lease = update.reading.value
        if isinstance(lease, dict) and isinstance(lease["holder"], dict):
            holder = lease["holder"]
            until = clock_of(lease["until_us"])
            lines.append(f"{lease['subject']:<40} {holder['name']} ({holder['id']}) until {until}")
    if not lines:
        print("-- no leases", file=sys.stderr)
    return "\n".join(lines)


def _line(lease: Lease) -> str:
    return f"{lease.subject} is held until {clock_of(lease.until_us)}"


def _taken(lease: Lease, duration_s: float, options: argparse.Namespace) -> str:
    """Describe until when the lease is held, and print how to keep it."""
    asked_us, given_us = round(duration_s * 1e6), lease.until_us - lease.since_us
    shorter = ", the longest that the daemon allows" if given_us < asked_us else ""
    keep = f"-- to keep it, come back with --identity {options.identity} within clients.grace"
    print(keep, file=sys.stderr)
    return f"{_line(lease)}{shorter}"
