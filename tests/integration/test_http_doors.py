"""Readings in and out over plain HTTP: `docs/http.md`."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sensord.access.gate import Gate
from sensord.access.rights import Rights
from sensord.access.token_file import TokenFile
from sensord.access.tokens import make_token
from sensord.config.tree import Clients, OpenTopic
from sensord.model.readings import Kind, ValueType
from tests.integration.test_http import exchange, read
from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import EPOCH, Station

OPEN = Clients(
    topics={
        "hook/#": OpenTopic(),
        "text/+": OpenTopic(type=ValueType.STRING),
        "door/+": OpenTopic(type=ValueType.BOOL, kind=Kind.EVENT),
    }
)


def request(
    method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    lines = {"Host": "localhost", **(headers or {})}
    if method == "POST" and "Transfer-Encoding" not in lines:
        lines.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


async def post(
    station: Station, body: object, target: str = "/api/readings", **headers: str
) -> tuple[int, Any]:
    """Post; JSON unless it is bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        named.setdefault("Content-Type", "application/json")
    return read(await exchange(station, request("POST", target, body, named)))


async def get(station: Station, target: str, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read(await exchange(station, request("GET", target, headers=named)))


def values(station: Station, topic: str) -> list[Any]:
    records = [one for part in station.log.read(0, station.log.tail) for one in part]
    return [one.reading.value for one in records if one.channel.topic == topic]


# -- POST /api/readings ----------------------------------------------------------------------------


@on_each_loop
async def test_a_posted_reading_is_in_the_log() -> None:
    """The answer names its offset, and monitors receive it."""
    async with Station(clients=OPEN) as station, monitor(station.url) as client:
        story = await client.story("subscribe", topics=["hook/#"])
        status, answer = await post(station, {"topic": "hook/a", "value": 1.5, "time_us": 7})
        await client.until(lambda: story.values == [1.5])
        last = station.bus.last(station.bus.find("hook/a"))  # type: ignore[arg-type]
    assert status == 200
    assert last is not None
    assert answer == {"epoch": EPOCH, "readings": 1, "offset": last.offset, "repeated": False}
    assert last.reading.time_us == 7


@on_each_loop
async def test_many_readings_are_posted_at_once_in_order() -> None:
    """As a list, as an object with a list, or a line each."""
    rows: list[dict[str, Any]] = [{"topic": "hook/a", "value": float(i)} for i in range(120)]
    lines = "\n".join(json.dumps(row) for row in rows).encode()
    async with Station(clients=OPEN) as station:
        assert (await post(station, rows))[1]["readings"] == 120
        assert (await post(station, {"readings": rows}))[1]["readings"] == 120
        status, answer = await post(station, lines, Content_Type="application/x-ndjson")
        assert (status, answer["readings"]) == (200, 120)
        assert values(station, "hook/a") == [float(i) for i in range(120)] * 3


@on_each_loop
async def test_lines_are_decoded() -> None:
    """With a topic in the query, and a decoder with its options."""
    async with Station(clients=OPEN) as station:
        target = "/api/readings?topic=hook/{field}&decoder=csv&fields=a&fields=b"
        status, answer = await post(station, b"1.5,2.5\n3.5,4.5\n", target)
        assert (status, answer["readings"]) == (200, 4)
        assert values(station, "hook/a") == [1.5, 3.5]
        assert values(station, "hook/b") == [2.5, 4.5]
        status, answer = await post(station, b"1.5,2.5\nnot a line\n", target)
        assert status == 400
        assert "line 2" in answer["error"]
        assert values(station, "hook/a") == [1.5, 3.5]


@on_each_loop
async def test_a_body_may_come_in_chunks_of_any_cut() -> None:
    """Chunked, cut anywhere; and after the server's go-ahead, as curl does it."""
    body = json.dumps({"topic": "hook/a", "value": 1.5}).encode()
    chunks = b"".join(b"%x;x=1\r\n%b\r\n" % (1, body[i : i + 1]) for i in range(len(body)))
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
    whole = request("POST", "/api/readings", headers=headers) + chunks + b"0\r\nTrailer: x\r\n\r\n"
    async with Station(clients=OPEN) as station:
        for cut in (1, 4, 5, 60, len(whole) - 2):
            assert read(await exchange(station, whole[:cut], whole[cut:]))[0] == 200
        headers = {"Content-Type": "application/json", "Expect": "100-continue"}
        head = request(
            "POST", "/api/readings", headers=headers | {"Content-Length": str(len(body))}
        )
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        assert read(await reader.read())[0] == 200
        writer.close()
        assert values(station, "hook/a") == [1.5] * 6


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "no reading"),
        (b'{"value": 1}', 400, "reading 0: topic"),
        (b'{"topic": "hook/a"}', 400, "value: is missing"),
        (b'{"topic": "hook/a", "value": NaN}', 400, "NaN is not JSON"),
        (b'{"topic": "hook/a", "value": "x"}', 400, "a value of type float"),
        (b'{"topic": "hook/a", "value": 1, "at": 5}', 400, "at: there are"),
        (b'{"topic": "hook/a", "value": 1, "time": "2026-01-01T00:00:00"}', 400, "its zone"),
        (b'{"topic": "plant/a", "value": 1}', 404, "not open for clients"),
        (json.dumps([{"topic": "hook/a", "value": 1}] * 1001).encode(), 429, "at most 1000"),
    ],
)
@on_each_loop
async def test_what_cannot_be_published_is_refused(body: bytes, status: int, part: str) -> None:
    """Nothing of it is in the log."""
    async with Station(clients=OPEN) as station:
        found = await post(station, body, Content_Type="application/json")
        assert found[0] == status
        assert part in found[1]["error"]
        assert values(station, "hook/a") == []


@on_each_loop
async def test_a_refusal_in_the_middle_says_how_many_were_accepted() -> None:
    """Readings before the one that is refused are in the log."""
    rows = [{"topic": "hook/a", "value": 1.5}, {"topic": "plant/a", "value": 2.5}]
    async with Station(clients=OPEN) as station:
        status, answer = await post(station, rows)
        assert (status, answer["readings"]) == (404, 1)
        assert values(station, "hook/a") == [1.5]


@on_each_loop
async def test_a_key_makes_a_retry_publish_nothing_again(tmp_path: Path) -> None:
    """Also after a restart; and the key is refused for other readings."""
    row = {"topic": "hook/a", "value": 1.5}
    async with Station(clients=OPEN, folder=tmp_path) as station:
        first = await post(station, row, Idempotency_Key="k1")
        again = await post(station, row, Idempotency_Key="k1")
        other = await post(station, {**row, "value": 2.5}, Idempotency_Key="k1")
        await station.restart()
        late = await post(station, row, Idempotency_Key="k1")
        fresh = await post(station, {**row, "topic": "hook/b"}, Idempotency_Key="k2")
        assert fresh[1]["repeated"] is False
        assert values(station, "hook/a") == values(station, "hook/b") == [1.5]
    assert first[1]["repeated"] is False
    assert again == late == (200, {**first[1], "repeated": True})
    assert other[0] == 409


@on_each_loop
async def test_a_retry_after_a_crash_publishes_what_is_missing_only(tmp_path: Path) -> None:
    """The key is kept before the readings; the last values show which of them the log has."""
    rows = [{"topic": f"hook/{name}", "value": float(i)} for i in range(2) for name in "ab"]
    async with Station(clients=OPEN, folder=tmp_path) as station:
        before = station.log.tail
        await post(station, rows, Idempotency_Key="k1")
        deposits = station.server.shared.sharing.deposits
        deposit = deposits._memory.find("http:127.0.0.1", "k1")
        assert deposit is not None
        # As a crash leaves it: begun, and all but the last reading committed.
        deposit.outcome, deposit.is_interrupted = None, True
        deposit.tail = before
        last = station.bus.find("hook/b")
        assert last is not None
        station.bus._last[last.number] = next(
            one
            for part in station.log.read(before, station.log.tail)
            for one in part
            if one.channel is last
        )
        status, answer = await post(station, rows, Idempotency_Key="k1")
        assert (status, answer["readings"]) == (200, 4)
        assert values(station, "hook/a") == [0.0, 1.0]
        assert values(station, "hook/b") == [0.0, 1.0, 1.0]


@asynccontextmanager
async def guarded(folder: Path, **rights: Any) -> AsyncIterator[tuple[Station, str]]:
    """Yield a station that nobody may use without a token, and a token."""
    text, token = make_token("shed", Rights(**rights), 0)
    file = folder / "tokens"
    with TokenFile(file).changing() as tokens:
        tokens[token.id] = token
    gate = Gate(file, Rights(), Rights())
    async with Station(clients=OPEN, gate=gate) as station:
        yield station, f"Bearer {text}"


@on_each_loop
async def test_rights_bound_what_is_posted_and_read(tmp_path: Path) -> None:
    """`write` for each topic, `read` narrows; a page of another site can post nothing."""
    async with guarded(tmp_path, write=("hook/a",), read=("hook/a",)) as (station, token):
        row = {"topic": "hook/a", "value": 1.5}
        assert (await post(station, row))[0] == 403
        assert (await post(station, row, Authorization=token))[0] == 200
        assert (await post(station, {**row, "topic": "hook/b"}, Authorization=token))[0] == 403
        station.publish("hook/b", 9.5)
        everything = "/api/history?topics=hook/%23&last=1h"
        _, past = await get(station, everything, Authorization=token)
        assert [one["topic"] for one in past["readings"]] == ["hook/a"]
        assert (await get(station, everything))[0] == 403
        assert (await get(station, "/api/stream?topics=x", Authorization=token))[0] == 403
        denied = await post(station, row, Authorization=token, Origin="http://evil.example")
        assert denied[0] == 403
        assert (await post(station, row, Cookie=f"sensord={token[7:]}"))[0] == 403
        assert (await post(station, row, Authorization=token, Sec_Fetch_Site="cross-site"))[
            0
        ] == 403
        assert values(station, "hook/a") == [1.5]


@on_each_loop
async def test_what_is_posted_over_http_has_no_publisher_who_leaves() -> None:
    """Others may publish the topic after it; a client with a session holds its own against it."""
    async with Station(clients=OPEN) as station, monitor(station.url) as client:
        row = {"topic": "hook/a", "value": 1.5}
        assert (await post(station, row))[0] == 200
        await client.ask("publish", topic="hook/a", value=2.5)
        status, answer = await post(station, row)
        assert (status, answer["code"]) == (409, "held")


# -- GET /api/history ------------------------------------------------------------------------------


@on_each_loop
async def test_a_history_as_json_is_one_object() -> None:
    """With where to continue, and whether the limit ended it."""
    async with Station() as station:
        station.publish("plant/a", *map(float, range(5000)))
        status, past = await get(station, f"/api/history?topics=plant/a&from={EPOCH}:10&limit=4000")
        assert status == 200
        assert [one["value"] for one in past["readings"]] == [float(i) for i in range(10, 4010)]
        assert past["readings"][0]["offset"] == 10
        assert (past["epoch"], past["next"], past["complete"]) == (EPOCH, 4010, False)
        assert past["gaps"] == []
        _, none = await get(station, "/api/history?topics=nothing&last=1h")
        assert (none["readings"], none["complete"]) == ([], True)


@on_each_loop
async def test_a_history_as_csv_has_the_columns_of_an_export() -> None:
    """And names a gap in a row of its own."""
    async with Station(ring=2048) as station:
        station.publish("plant/a", *map(float, range(6000)))
        _, text = await get(station, f"/api/history?topics=plant/a&from={EPOCH}:0&format=csv")
        rows = list(csv.DictReader(text.splitlines()))
        first = station.log.first
        assert first > 0
        assert (rows[0]["quality"], rows[0]["offset"]) == ("gap", "0")
        assert rows[0]["reason"] == f"expired: {first} readings"
        assert [float(one["value"]) for one in rows[1:]] == [float(i) for i in range(first, 6000)]


@on_each_loop
async def test_summaries_over_http() -> None:
    """A row for each topic and interval, in both formats."""
    async with Station() as station:
        station.publish("plant/a", 1.5, 2.5, 6.5)
        target = "/api/history?topics=plant/a&last=1h&interval=1d"
        _, past = await get(station, target)
        [row] = past["summaries"]
        assert (row["topic"], row["count"], row["min"], row["max"]) == ("plant/a", 3, 1.5, 6.5)
        assert (row["mean"], row["first"], row["last"]) == (3.5, 1.5, 6.5)
        _, text = await get(station, f"{target}&format=csv")
        [line] = csv.DictReader(text.splitlines())
        assert (line["topic"], line["count"], line["mean"]) == ("plant/a", "3", "3.5")


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("", "either"),
        ("last=1h&from=-1h", "either"),
        ("last=x", "last"),
        ("from=yesterday", "from: send"),
        ("from=2026-01-01T00:00:00", "its zone"),
        ("last=1h&limit=0", "limit"),
        ("last=1h&interval=x", "interval"),
        ("last=1h&format=xml", "json or csv"),
        ("last=1h&topic=a", "no such parameter"),
        ("last=1h&topics=a/%23/b", "topics"),
        ("last=1h&last=2h", "send it once"),
    ],
)
@on_each_loop
async def test_a_faulty_query_is_named(query: str, part: str) -> None:
    """With the parameter."""
    async with Station() as station:
        status, answer = await get(station, f"/api/history?{query}")
        assert status == 400
        assert part in answer["error"]


# -- GET /api/stream -------------------------------------------------------------------------------


class Events:
    """Reads server-sent events of one request."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.last_id = ""

    async def next(self, name: str = "message") -> Any:
        """Return the data of the next event of that name."""
        while True:
            event = (await self._reader.readuntil(b"\n\n")).decode()
            fields = dict(line.split(": ", 1) for line in event.splitlines() if ": " in line)
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields and fields.get("event", "message") == name:
                return json.loads(fields["data"])


@asynccontextmanager
async def stream(station: Station, query: str, **headers: str) -> AsyncIterator[Events]:
    host, port = station.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    writer.write(request("GET", f"/api/stream?{query}", headers=named))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    assert b"Content-Type: text/event-stream" in head
    try:
        yield Events(reader)
    finally:
        writer.close()
        await writer.wait_closed()


@on_each_loop
async def test_a_stream_has_last_values_then_live_ones() -> None:
    """One event each; the live ones have the position after them as their id."""
    async with Station() as station:
        station.publish("plant/a", 1.5)
        async with stream(station, "topics=plant/%23") as events:
            first = await events.next()
            assert (first["topic"], first["value"], events.last_id) == ("plant/a", 1.5, "")
            assert (await events.next("phase"))["phase"] == "live"
            station.publish("plant/a", 2.5)
            station.publish("plant/b", 3.5)
            assert (await events.next())["value"] == 2.5
            assert events.last_id == f"{EPOCH}:2"
            assert (await events.next())["value"] == 3.5
            assert events.last_id == f"{EPOCH}:3"


@on_each_loop
async def test_a_stream_continues_after_the_last_event() -> None:
    """Nothing lost, nothing twice; what is gone is named."""
    async with Station(ring=2048) as station:
        async with stream(station, "topics=plant/a&from=now") as events:
            await events.next("phase")
            station.publish("plant/a", 0.5)
            assert (await events.next())["value"] == 0.5
            last_id = events.last_id
        station.publish("plant/a", 1.5, 2.5)
        async with stream(station, "topics=plant/a", Last_Event_ID=last_id) as events:
            assert [(await events.next())["value"] for _ in range(2)] == [1.5, 2.5]
        station.publish("plant/a", *map(float, range(6000)))
        async with stream(station, "topics=plant/a", Last_Event_ID=last_id) as events:
            gap = await events.next("gap")
            assert (gap["reason"], gap["from"], gap["to"]) == ("expired", 1, station.log.first)
            assert gap["count"] == station.log.first - 1
            assert (await events.next())["value"] == float(station.log.first - 3)


@on_each_loop
async def test_streams_of_the_same_topics_share_their_events() -> None:
    """They are a group like any others, encoded once."""
    async with Station() as station:
        station.publish("plant/a", 1.5)
        async with (
            stream(station, "topics=plant/a") as one,
            stream(station, "topics=plant/a") as two,
        ):
            for events in (one, two):
                while (await events.next("phase"))["phase"] != "live":
                    pass
            assert station.server.statistics().groups == 1
            assert station.server.statistics().sessions == 2
            station.publish("plant/a", 2.5)
            assert (await one.next())["value"] == (await two.next())["value"] == 2.5


@on_each_loop
async def test_a_stream_of_a_client_that_leaves_is_over() -> None:
    """At once, and not with the next reading."""
    async with Station() as station:
        async with stream(station, "topics=plant/a") as events:
            await events.next("phase")
        async with asyncio.timeout(30):
            while station.server.statistics().sessions:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.001)
