"""Numbers that no calendar and no integer of 64 bits has, sent to the real daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.monitor import monitor

CONFIG = """
journal.folder = "{folder}"
[clients.topics."lab/#"]
"""

MESSAGES: list[dict[str, Any]] = [
    json.loads(one["json"])
    for one in json.loads((Path(__file__).parents[1] / "vectors" / "requests.json").read_text())[
        "accepted"
    ]
]

NUMBERS = [-1, 2**53, 2**63 - 1, -(2**63) + 1, 10**30, -1e300, 5e-324]


@on_uvloop()
async def test_two_requests_with_times_out_of_bounds_do_not_end_the_daemon(tmp_path: Path) -> None:
    """They are refused; what was published before and after is recorded, and the stop is clean."""
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path / "journal")) as daemon:
        async with monitor(daemon.url, "json") as client, monitor(daemon.url, "msgpack") as looker:
            story = await looker.subscribe("lab/#")
            await client.ask("publish", topic="lab/a", value=1)
            for time_us in (2**63 - 1, -(2**63) + 1):
                answer = await client.ask("publish", topic="lab/a", value=2, time_us=time_us)
                assert answer["code"] == "bad_request"
            await client.ask("publish", topic="lab/a", value=3, time_us=2**53 - 1)
            await looker.until(lambda: story.values == [1, 3])
        status, _ = await in_thread(daemon.stop)
        assert status == 0
        await in_thread(daemon.start)
        async with monitor(daemon.url, "json") as looker:
            told = await looker.story("history", topics=["lab/#"], **{"from": "-999999999d"})
            await looker.until(lambda: len(told.values) == 2)
        await in_thread(daemon.stop)


@on_uvloop()
async def test_no_field_of_any_request_ends_the_daemon(tmp_path: Path) -> None:
    """Each number of each request is made extreme; the daemon answers to the last."""
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path / "journal")) as daemon:
        ids = iter(range(10, 10**6))
        async with monitor(daemon.url, "json") as client:
            asked = [message for message in MESSAGES if message["op"] not in {"hello", "bye"}]
            for message in asked:
                for path in numbers_in(message):
                    for number in NUMBERS:
                        await client.send(changed({**message, "id": next(ids)}, path, number))
            assert (await client.ask("ping", id=9))["op"] == "result"
        status, _ = await in_thread(daemon.stop)
        assert status == 0
        assert not any("Traceback" in line for line in daemon.log)


def numbers_in(found: object) -> list[tuple[str, ...]]:
    """List where in a message the numbers stand, but for its id."""
    if isinstance(found, dict):
        inner = [(k, p) for k, v in found.items() if k != "id" for p in numbers_in(v)]
        return [(k, *p) for k, p in inner]
    return [()] if type(found) in {int, float} else []


def changed(message: dict[str, Any], path: tuple[str, ...], number: float) -> dict[str, Any]:
    """Return the message with another number at a place."""
    copy: dict[str, Any] = json.loads(json.dumps(message))
    inside = copy
    for field in path[:-1]:
        inside = inside[field]
    inside[path[-1]] = number
    return copy
