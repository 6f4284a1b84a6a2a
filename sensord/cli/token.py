"""`sensord token`: create, list and revoke the tokens by which programs and people are let in."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from sensord.access.rights import ACTIONS, Rights
from sensord.access.token_file import TokenFile
from sensord.access.tokens import Token, make_token
from sensord.cli.options import duration
from sensord.errors import UsageError
from sensord.model.times import iso

__all__ = ["configure", "run"]

HELP = """\
Each right is a filter of topics or names, with + and # as in MQTT, and may be repeated. A daemon
whose configuration names the file (server.tokens) accepts a new token at once, and ends the
sessions of a revoked one within a second.

  sensord token create panel --read 'plant/#' --expires 90d
  sensord token create operator --read '#' --read '$sys/#' --write 'plant/#' --call '#' --send '#'
  sensord token list
  sensord token revoke panel
"""

_FILE = "tokens.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    add = parser.add_argument
    add("act", choices=["create", "list", "revoke", "renew"], help="what to do")
    add("name", nargs="?", default="", help="the token's name, or its id to revoke or renew it")
    for action in ACTIONS:
        add(f"--{action}", action="append", default=[], metavar="FILTER", help=f"may {action} this")
    add("--admin", action="store_true", help="may do everything")
    add("--expires", type=duration, metavar="TIME", help="ends after this, such as 90d")
    add("--file", type=Path, help=f"the file of tokens (default: {default_file()})")
    add("--json", action="store_true", help="print JSON")


def default_file() -> Path:
    """Return where tokens are unless another place is named."""
    if os.geteuid() == 0:
        return Path("/var/lib/sensord") / _FILE
    home = os.environ.get("XDG_STATE_HOME") or f"{os.environ.get('HOME', '.')}/.local/state"
    return Path(home) / "sensord" / _FILE


def run(options: argparse.Namespace) -> int:
    """Do it."""
    file = TokenFile(options.file or default_file())
    if options.act == "list":
        print(_json(file) if options.json else "\n".join(_table(file)))
        return 0
    if not options.name:
        raise UsageError(f"name the token to {options.act}")
    if options.act == "create":
        print(_create(file, options))
        return 0
    with file.changing() as tokens:
        found = _found(tokens.values(), options.name)
        if options.act == "revoke":
            del tokens[found.id]
        else:
            expires_us = _expiry(options.expires)
            tokens[found.id] = Token(
                found.id, found.name, found.digest, found.rights, found.created_us, expires_us
            )
    print(f"{options.act}d {found.name} ({found.id})".replace("renewd", "renewed"))
    return 0


def _create(file: TokenFile, options: argparse.Namespace) -> str:
    read, write, call, send, serve = (tuple(getattr(options, one)) for one in ACTIONS)
    rights = Rights(read, write, call, send, serve, admin=options.admin)
    for action, fault in rights.faults():
        raise UsageError(f"--{action}: {fault}")
    if rights.is_empty:
        raise UsageError("a token without rights is of no use; give --read FILTER, or --admin")
    now_us = time.time_ns() // 1000
    text, token = make_token(options.name, rights, now_us, _expiry(options.expires))
    with file.changing() as tokens:
        if any(one.name == options.name for one in tokens.values()):
            raise UsageError(f"there is a token {options.name} already; revoke it, or name another")
        tokens[token.id] = token
    if options.json:
        return json.dumps({"id": token.id, "token": text})
    return f'{text}\n\nIt is shown this once. The daemon needs server.tokens = "{file.path}".'


def _expiry(seconds: float | None) -> int | None:
    return None if seconds is None else time.time_ns() // 1000 + round(seconds * 1_000_000)


def _found(tokens: Iterable[Token], name: str) -> Token:
    for token in tokens:
        if name in {token.name, token.id}:
            return token
    raise UsageError(f"there is no token {name}; sensord token list shows them")


def _table(file: TokenFile) -> list[str]:
    uses = file.uses()
    rows = [("name", "id", "last use", "expires", "rights")]
    for token in file.read().values():
        used, ends = uses.get(token.id), token.expires_us
        rights = [f"{one} {' '.join(token.rights.of(one))}" for one in token.rights.actions]
        rows.append(
            (
                token.name,
                token.id,
                _day(used),
                _day(ends),
                "admin" if token.rights.admin else ", ".join(rights),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    cells = [[*map(str.ljust, row, widths), row[-1]] for row in rows]
    return ["  ".join(row) for row in cells]


def _day(time_us: int | None) -> str:
    return "never" if time_us is None else (iso(time_us) or "far away")[:19]


def _json(file: TokenFile) -> str:
    uses = file.uses()
    listed = []
    for token in file.read().values():
        written = token.write()
        del written["digest"]
        listed.append(written | {"last_use_us": uses.get(token.id)})
    return json.dumps(listed, indent=1)
