"""`sensord alarms`: list alarms, the most urgent first; and what acts on one."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sensord.cli.connection import asked, being, client_for
from sensord.cli.lines import plain_value
from sensord.cli.listing import clock_of
from sensord.cli.look import fitted, note_zone
from sensord.cli.options import configure_client
from sensord.cli.statuses import NotFoundError
from sensord.client import Client, CommandError, Control, Update

__all__ = ["UNACKNOWLEDGED", "act_on", "configure", "run"]

PREFIX = "$sys/alarms/"

UNACKNOWLEDGED = 1
"""The exit status if an alarm is not acknowledged."""

_STATES = {"raised": 0, "cleared": 1, "acknowledged": 2, "normal": 3}
_PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}

HEAD = f"{'ALARM':<20} {'STATE':<13} {'PRIORITY':<9} {'SINCE':<20} {'VALUE':>12}  TOPIC"

HELP = f"""\
Exit status: 0 if no alarm waits to be acknowledged, {UNACKNOWLEDGED} if one does.
Shelved alarms do not count.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = HELP
    parser.add_argument("--follow", action="store_true", help="keep showing changes")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """List the alarms; return the exit status."""
    if options.follow:
        return being(lambda: _follow(options))
    waiting: list[str] = []

    async def ask(client: Client) -> str:
        found = [
            (one.topic.removeprefix(PREFIX), one.reading.value)
            for one in await client.get(f"{PREFIX}+")
        ]
        rows = [(name, row) for name, row in found if isinstance(row, dict)]
        if not rows:
            raise NotFoundError("no alarms are configured: see [alarms] in docs/configuration.md")
        rows.sort(key=lambda row: _rank(*row))
        waiting.extend(name for name, row in rows if _waits(row))
        topics = {str(row.get("topic")) for _, row in rows} - {"None", ""}
        last = [] if options.json or not topics else await client.get(*topics)
        decimals = {one.topic: one.channel.metadata.decimals for one in last}
        lines = [
            _line(name, row, is_json=options.json, decimals=decimals.get(str(row.get("topic"))))
            for name, row in rows
        ]
        if options.json:
            return "\n".join(lines)
        note_zone()
        return "\n".join(fitted(line) for line in [HEAD, *lines])

    return asked(options, "alarms", ask) or (UNACKNOWLEDGED if waiting else 0)


async def _follow(options: argparse.Namespace) -> None:
    async with client_for(options, "alarms") as client:
        if not options.json:
            print(HEAD, flush=True)
        async for item in client.subscribe(f"{PREFIX}+"):
            if isinstance(item, Update) and isinstance(item.reading.value, dict):
                name = item.topic.removeprefix(PREFIX)
                print(_line(name, item.reading.value, is_json=options.json), flush=True)


def act_on(options: argparse.Namespace, command: str, args: dict[str, Any]) -> int:
    """Act on the alarm that the options name; print its state."""

    async def act(client: Client) -> str:
        try:
            outcome = await Control(client).call("alarms", {"alarm": options.alarm, **args})
        except CommandError as exc:
            if await client.get(f"{PREFIX}{options.alarm}"):
                raise
            raise NotFoundError(exc.message) from None
        return str(outcome)

    return asked(options, command, act)


def _number(value: Any, decimals: int | None) -> str:  # noqa: ANN401  # as the daemon sent it
    """Write a value with the decimals of its channel."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return plain_value(float(value) if is_number and decimals else value, decimals)


def _waits(row: dict[str, Any]) -> bool:
    return row.get("state") in {"raised", "cleared"} and not row.get("shelved")


def _rank(name: str, row: dict[str, Any]) -> tuple[bool, int, int, str]:
    state = _STATES.get(str(row.get("state")), 9)
    return bool(row.get("shelved")), state, _PRIORITIES.get(str(row.get("priority")), 9), name


def _line(name: str, row: dict[str, Any], *, is_json: bool, decimals: int | None = None) -> str:
    if is_json:
        return json.dumps({"alarm": name, **row}, ensure_ascii=False)
    value = "-" if row.get("value") is None else _number(row["value"], decimals)
    notes = [str(row.get("text") or "")]
    if acknowledged := row.get("acknowledged"):
        by = acknowledged.get("by", {})
        notes.append(f"acknowledged by {by.get('name') or by.get('id')} {acknowledged['text']}")
    if shelved := row.get("shelved"):
        notes.append(f"shelved until {clock_of(shelved['until_us'])} {shelved['text']}")
    text = "; ".join(note.strip() for note in notes if note)
    return (
        f"{name:<20} {row.get('state', '?'):<13} {row.get('priority', ''):<9}"
        f" {clock_of(row.get('since_us') or None):<20} {value:>12}  {row.get('topic', '')}  {text}"
    ).rstrip()
