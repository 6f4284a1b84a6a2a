"""What a query asks for: the requests of the protocol, written as parameters of a path. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from sensord.errors import ProtocolError
from sensord.model.durations import ago_us, seconds_of
from sensord.model.times import time_us_of
from sensord.wire.fields import MAX_FILTERS, bad
from sensord.wire.ops.queries import History
from sensord.wire.ops.subscriptions import Subscribe

__all__ = ["MAX_FIELDS", "fields_of", "history_of", "one_of", "place_of", "stream_of"]

MAX_FIELDS = MAX_FILTERS + 16
"""The most parameters of a query, whatever their names."""

REQUEST = 1
"""The id of the one request of a plain HTTP client."""

_POSITION = re.compile(r"([0-9a-z]{1,32}):([0-9]{1,15})")


def fields_of(query: str) -> dict[str, list[str]]:
    """Read the parameters of a query.

    A plus is a wildcard or the sign of a zone here, not a space: people type it as it is.

    Raises:
        ProtocolError: They are too many.
    """
    try:
        return parse_qs(
            query.replace("+", "%2B"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise ProtocolError("bad_request", f"more than {MAX_FIELDS} fields") from None


def one_of(fields: Mapping[str, list[str]], name: str, default: str = "") -> str:
    """Return a parameter that may be given once.

    Raises:
        ProtocolError: It is given more often.
    """
    found = fields.get(name, [default])
    if len(found) > 1:
        raise bad(name, "send it once")
    return found[0]


def history_of(fields: Mapping[str, list[str]]) -> History:
    """Read a request for the past: topics, from or last, to, limit and interval.

    Raises:
        ProtocolError: A parameter is unknown or invalid.
    """
    _known(fields, ("topics", "from", "to", "last", "limit", "interval", "format"))
    message: dict[str, object] = {"id": REQUEST, "topics": fields.get("topics", ["#"])}
    start, last = one_of(fields, "from"), one_of(fields, "last")
    if bool(start) == bool(last):
        raise bad("from", 'send either "from", a time or a position, or "last", such as last=10m')
    if last and not last[0].isdigit():
        raise bad("last", "send a duration, such as 10m")
    message["from"] = place_of("from", start) if start else f"-{last}"
    if stop := one_of(fields, "to"):
        message["to"] = place_of("to", stop)
    if limit := one_of(fields, "limit"):
        message["limit"] = int(limit) if limit.isdecimal() and len(limit) < 16 else limit  # noqa: PLR2004  # of 2^53
    if interval := one_of(fields, "interval"):
        message["interval"] = _seconds("interval", interval)
    return History.read(message)


def stream_of(fields: Mapping[str, list[str]], last_event_id: str) -> Subscribe:
    """Read a request for a stream; the id of the last event comes before ``from``.

    Raises:
        ProtocolError: A parameter is unknown or invalid.
    """
    _known(fields, ("topics", "from", "mode", "period", "deadband"))
    message: dict[str, object] = {"id": REQUEST, "topics": fields.get("topics", ["#"])}
    start = one_of(fields, "from", "snapshot")
    if last_event_id:
        message["from"] = _position(last_event_id)
        if message["from"] is None:
            raise bad("Last-Event-ID", "send the id of an event, EPOCH:OFFSET")
    else:
        message["from"] = start if start in {"snapshot", "now"} else place_of("from", start)
    if mode := one_of(fields, "mode"):
        message["mode"] = mode
    if period := one_of(fields, "period"):
        message["period"] = _seconds("period", period)
    if deadband := one_of(fields, "deadband"):
        try:
            message["deadband"] = float(deadband)
        except ValueError:
            raise bad("deadband", "send a number") from None
    return Subscribe.read(message)


def place_of(field: str, text: str) -> object:
    """Read a place in the log, as requests of the protocol have it.

    Raises:
        ProtocolError: It is none.
    """
    if ago_us(text) is not None:
        return text
    if (position := _position(text)) is not None:
        return position
    time_us = time_us_of(text, None)
    if time_us is None:
        wanted = "-10m, EPOCH:OFFSET or a time with its zone, such as 2026-11-22T17:00:00Z"
        raise bad(field, f"send {wanted}")
    return {"time_us": time_us}


def _position(text: str) -> object:
    found = _POSITION.fullmatch(text)
    return None if found is None else {"epoch": found[1], "offset": int(found[2])}


def _seconds(field: str, text: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise bad(field, "send a duration, such as 10s")
    return seconds


def _known(fields: Mapping[str, list[str]], names: Iterable[str]) -> None:
    for name in fields:
        if name not in names:
            raise bad(name[:40], f"there is no such parameter; there are {', '.join(names)}")
