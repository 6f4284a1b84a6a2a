"""The body of `POST /api/readings`: one reading, many, or lines for a decoder. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sensord.config.schema import Faults, structure
from sensord.decode import registry
from sensord.decode.base import Decoder
from sensord.errors import ProtocolError
from sensord.model.readings import Level
from sensord.model.times import time_us_of
from sensord.server.http.asked import one_of
from sensord.sharing.deposits import MOST_READINGS, HandedIn
from sensord.wire.fields import bad
from sensord.wire.ops.state import Publish

__all__ = ["readings_in"]

REQUEST = 1

FIELD = "{field}"


def readings_in(body: bytes, content_type: str, fields: Mapping[str, list[str]]) -> list[HandedIn]:
    """Read a body; with ``topic`` in the query it is lines for a decoder, else JSON.

    Raises:
        ProtocolError: It is neither, or a part of it is invalid; the text names the part.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if "topic" in fields:
        readings = list(_decoded(body, fields))
    elif fields:
        raise bad(next(iter(fields))[:40], 'there is no such parameter without "topic"')
    elif kind in {"application/json", "application/x-ndjson", "application/jsonl"}:
        readings = [_reading(one, number) for number, one in enumerate(_objects(body, kind))]
    else:
        text = "send Content-Type: application/json, or ?topic= for lines of text"
        raise bad("Content-Type", text)
    if not readings:
        raise ProtocolError("bad_request", "the body has no reading")
    if len(readings) > MOST_READINGS:
        raise ProtocolError("too_many", f"send at most {MOST_READINGS} readings at a time")
    return readings


def _objects(body: bytes, kind: str) -> list[object]:
    try:
        text = body.decode("utf-8-sig")
        if kind != "application/json":
            return [_loaded(line) for line in text.splitlines() if line.strip()]
        found = _loaded(text)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("bad_request", f"not JSON: {str(exc)[:200]}") from exc
    if isinstance(found, dict) and "readings" in found and "topic" not in found:
        found = found["readings"]
    return found if isinstance(found, list) else [found]


def _loaded(text: str) -> object:
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _reading(found: object, number: int) -> HandedIn:
    """Read one object, with the checks that `publish` has."""
    try:
        if not isinstance(found, dict):
            raise bad("reading", "send an object with topic and value")
        message: dict[str, Any] = found | {"id": REQUEST}
        unknown = found.keys() - {"topic", "value", "time", "time_us"}
        if unknown:
            raise bad(min(unknown)[:40], "there are topic, value, time and time_us")
        if (time := found.get("time")) is not None:
            time_us = time_us_of(time, None) if isinstance(time, str) else None
            if time_us is None or "time_us" in found:
                wanted = "send a time with its zone, such as 2026-11-22T17:00:00Z, or time_us"
                raise bad("time", wanted)
            message["time_us"] = time_us
        request = Publish.read(message)
    except ProtocolError as exc:
        raise ProtocolError(exc.code, f"reading {number}: {exc.message}") from exc
    return HandedIn(request.topic, request.value, request.time_us)


def _decoded(body: bytes, fields: Mapping[str, list[str]]) -> Iterator[HandedIn]:
    """Decode each line; what a line holds beside good values is refused with all the others."""
    pattern = one_of(fields, "topic")
    decoder = _decoder(fields)
    for number, line in enumerate(body.splitlines(), 1):
        if not line.strip():
            continue
        samples, faults = decoder.decode(line)
        if faults:
            detail = faults[0].detail or faults[0].excerpt.decode("utf-8", "replace")
            raise ProtocolError("bad_request", f"line {number}: {faults[0].reason}: {detail}")
        for sample in samples:
            if sample.quality.level is not Level.GOOD:
                raise ProtocolError(
                    "bad_request", f"line {number}: {sample.field}: {sample.quality.reason}"
                )
            topic = pattern.replace(FIELD, sample.field)
            found: dict[str, object] = {"topic": topic, "value": sample.value}
            if sample.time_us is not None:
                found["time_us"] = sample.time_us
            yield _reading(found, number)


def _decoder(fields: Mapping[str, list[str]]) -> Decoder:
    name = one_of(fields, "decoder", "any")
    kind = registry.find(name)
    if kind is None:
        raise bad("decoder", f"there are {', '.join(registry.names())}")
    options = {key: _option(raw) for key, raw in fields.items() if key not in {"topic", "decoder"}}
    faults = Faults()
    config = structure(kind.config, options, (), faults)
    if config is None or faults.found:
        path, text = faults.found[0]
        raise bad(".".join(str(part) for part in path) or name, text)
    return kind.create(config)


def _option(raw: list[str]) -> object:
    """Return an option as the configuration would have it: JSON, or a text; several are a list."""
    found = [_scalar(text) for text in raw]
    return found if len(found) > 1 else found[0]


def _scalar(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
