"""What one client sends ends no session of another, whichever encodings they speak."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import pytest

from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import Station


def deep(levels: int) -> Any:
    value: Any = None
    for _ in range(levels):
        value = [value]
    return value


PILLS: dict[str, tuple[str, bytes]] = {
    "an integer of 300 digits": ("json", b"1" + 300 * b"0"),
    "a number beyond floats": ("json", b"1e999"),
    "many levels as JSON": ("json", json.dumps(deep(400)).encode()),
    "not a number": ("msgpack", msgpack.packb(math.nan)),
    "infinity": ("msgpack", msgpack.packb(math.inf)),
    "bytes": ("msgpack", msgpack.packb(b"\xff")),
    "a key that is no text": ("msgpack", msgpack.packb({1: 2})),
    "many levels as msgpack": ("msgpack", msgpack.packb(deep(400))),
}


@pytest.mark.parametrize("other", ["json", "msgpack"])
@pytest.mark.parametrize("name", PILLS)
@on_each_loop
async def test_what_another_encoding_cannot_carry_is_refused(name: str, other: str) -> None:
    """It was accepted, and whoever received it was closed with 1011, again and again."""
    encoding, pill = PILLS[name]
    async with (
        Station() as station,
        monitor(station.url, other) as receiver,
        monitor(station.url, encoding) as sender,
    ):
        await receiver.subscribe("state/#", start="snapshot")
        place: Any = "@@" if encoding == "json" else 123_456_789
        request = {"op": "put", "id": 50, "topic": "state/x", "value": place}
        if encoding == "json":
            payload = json.dumps(request).encode().replace(b'"@@"', pill)
        else:
            payload = msgpack.packb(request).replace(msgpack.packb(place), pill)
        await sender.send_bytes(payload, is_text=sender.is_text)
        # Without its id, where the message cannot even be decoded.
        await sender.until(lambda: sender.answers.keys() & {50, None})
        assert [error["code"] for error in sender.errors] == ["bad_message"]
        assert (await receiver.ask("time"))["op"] in {"result", "error"}
