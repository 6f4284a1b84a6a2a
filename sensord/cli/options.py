"""Options that several commands share, and the functions that read them."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from sensord.client.trust import Trust
from sensord.errors import UsageError
from sensord.model.durations import ago_us, seconds_of
from sensord.model.readings import Position, Value
from sensord.model.times import LOCAL, time_us_of
from sensord.model.topics import filter_fault

__all__ = [
    "DEFAULT_URL",
    "StartError",
    "check_filters",
    "check_key",
    "configure_client",
    "configure_key",
    "configure_url",
    "count",
    "default_url",
    "duration",
    "start_of",
    "token_of",
    "trust_of",
    "url_of",
    "value_of",
]

MAX_NAME_CHARACTERS = 80

SHOWN_CHARACTERS = 80
"""How much of a refused text is shown."""

DEFAULT_PORT = 8765

DEFAULT_URL = f"ws://127.0.0.1:{DEFAULT_PORT}"

LOCAL_SOCKET = Path("/run/sensord/sensord.sock")
"""Where the packaged daemon listens for programs of its own machine."""


def configure_url(parser: argparse.ArgumentParser) -> None:
    """Declare where the daemon is."""
    add = parser.add_argument
    add(
        "--url",
        type=url_of,
        default=default_url(),
        help="the daemon: a host, host:port, ws://, wss:// or unix:/path (default: %(default)s)",
    )
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="send the token in this file (default: $SENSORD_TOKEN); arguments are for all to see",
    )
    add(
        "--fingerprint",
        default="",
        metavar="SHA256",
        help="accept the server with this certificate, whoever signed it; for wss://",
    )


def url_of(text: str) -> str:
    """Complete an address as people name it: a host, host:port, http:// or a socket's path."""
    text = text.strip()
    for web, socket in (("http://", "ws://"), ("https://", "wss://")):
        if text.lower().startswith(web):
            return socket + text[len(web) :].rstrip("/")
    if "://" in text or text.startswith("unix:"):
        return text
    if text.startswith(("/", "./")):
        return f"unix:{text}"
    if text.count(":") > 1 and not text.startswith("["):  # an address of IPv6 alone
        text = f"[{text}]"
    has_port = re.search(r":[^\]]*$", text) is not None
    return f"ws://{text}" if has_port else f"ws://{text}:{DEFAULT_PORT}"


def default_url() -> str:
    """Return where the daemon is, if its address is not named."""
    if given := os.environ.get("SENSORD_URL"):
        return given
    return f"unix:{LOCAL_SOCKET}" if LOCAL_SOCKET.is_socket() else DEFAULT_URL


def token_of(options: argparse.Namespace) -> str | None:
    """Return the token to send, or None.

    Raises:
        UsageError: Its file cannot be read.
    """
    if options.token_file is None:
        return os.environ.get("SENSORD_TOKEN") or None
    try:
        text: str = options.token_file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as exc:
        raise UsageError(f"--token-file: {options.token_file} cannot be read: {exc}") from exc
    return text


def trust_of(options: argparse.Namespace) -> Trust | None:
    """Return which server is trusted; None for those that the system trusts."""
    return Trust(fingerprint=options.fingerprint) if options.fingerprint else None


def configure_client(parser: argparse.ArgumentParser) -> None:
    """Declare the daemon's address, and the client's identity and name."""
    configure_url(parser)
    parser.add_argument(
        "--identity",
        type=Path,
        metavar="FILE",
        help="be the same client in each command, so that leases and keys outlive the command",
    )
    parser.add_argument(
        "--name", type=_name, help="the name that others see (default: command, user and host)"
    )


def configure_key(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the key that identifies one act or message."""
    parser.add_argument(
        "--key",
        default="",
        help=f"a retry with the same key is the same {what}, not a second one; needs --identity",
    )


def check_key(options: argparse.Namespace) -> None:
    """Refuse a key without an identity.

    Raises:
        UsageError: The next command would be another client, with keys of its own.
    """
    if options.key and options.identity is None:
        raise UsageError("give --identity FILE with --key: keys belong to one client")


def _name(text: str) -> str:
    if not text.isprintable() or not 1 <= len(text) <= MAX_NAME_CHARACTERS:
        wanted = f"a name of 1 to {MAX_NAME_CHARACTERS} characters"
        raise argparse.ArgumentTypeError(f"{text}: expected {wanted}")
    return text


def duration(text: str) -> float:
    """Read a duration of an option: seconds, or with a unit.

    Raises:
        argparse.ArgumentTypeError: It is not a duration.
    """
    found = seconds_of(text if text[-1:].isalpha() else f"{text}s")
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: expected a duration such as 2s or 500ms")
    return found


def count(text: str) -> int:
    """Read a number of an option.

    Raises:
        argparse.ArgumentTypeError: It is not a number, or less than one.
    """
    if not text.isascii() or not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a number, 1 or more")
    return int(text)


def value_of(text: str) -> Value:
    """Read a value as JSON; anything else is text.

    Raises:
        argparse.ArgumentTypeError: It begins like JSON, but is not valid JSON.
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise argparse.ArgumentTypeError("the value is not UTF-8 text") from exc
    try:
        found: Value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        if text[:1] in {"{", "[", '"'}:
            wanted = "give JSON, or a text that begins differently"
            shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
            raise argparse.ArgumentTypeError(f"{shown}: not JSON, {exc}; {wanted}") from exc
        return text
    return found


def check_filters(topics: Sequence[str]) -> None:
    """Refuse an invalid filter, and warn of one that has another meaning in a shell.

    Raises:
        UsageError: A filter is invalid; it names the filter and the reason.
    """
    for topic in topics:
        if fault := filter_fault(topic):
            raise UsageError(f"{topic}: {fault}")
        if "*" in topic:
            hint = "* is an ordinary character; + matches one level, and # at the end all below"
            print(f"-- {topic}: {hint}", file=sys.stderr)


class StartError(UsageError):
    """The text given to --from is invalid."""

    def __str__(self) -> str:
        return (
            f"--from {self.args[0]}: expected snapshot, now, -10m, EPOCH:OFFSET"
            " or a time such as 2026-11-22T17:00:00Z"
        )


def start_of(text: str) -> str | Position | int:
    """Read the option --from.

    Raises:
        StartError: It is invalid.
    """
    if text in {"snapshot", "now"} or ago_us(text) is not None:
        return text
    if found := re.fullmatch(r"([0-9a-f]{16}):(\d+)", text):
        return Position(found[1], int(found[2]))
    time_us = time_us_of(text, LOCAL)
    if time_us is None:
        raise StartError(text)
    return time_us
