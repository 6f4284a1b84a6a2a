"""Plain HTTP on the port of the monitors: `docs/protocol.md`, section 10."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from dataclasses import replace
from typing import Any

import pytest

import sensord.server.http.transfer
from sensord.model.readings import Level, Metadata, Quality, ValueType
from sensord.server.http.routes import PIECE_BYTES
from sensord.server.http.transfer import MARK_BYTES, PAGES
from sensord.server.shared import Limits
from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import EPOCH, Station


async def exchange(station: Station, *parts: bytes) -> bytes:
    """Send bytes, part by part; return all that comes until the server ends the connection."""
    host, port = station.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for part in parts:
        writer.write(part)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def get(station: Station, target: str, *, method: str = "GET") -> tuple[int, Any]:
    """Request a page; return the status and the body, read as JSON if it says it is."""
    request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return read(await exchange(station, request.encode()))


def read(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert status.startswith("HTTP/1.1 ")
    assert headers["connection"] == "close"
    if "transfer-encoding" in headers:
        assert headers["transfer-encoding"] == "chunked"
        body = whole(body)
    else:
        assert int(headers["content-length"]) == len(body)
    if headers["content-type"].startswith("application/json"):
        return int(status.split()[1]), json.loads(body)
    return int(status.split()[1]), body.decode()


def whole(chunked: bytes) -> bytes:
    """Join the chunks of a body; it must have come to its end."""
    body = b""
    while True:
        size, _, rest = chunked.partition(b"\r\n")
        length = int(size, 16)
        assert rest[length : length + 2] == b"\r\n"
        if not length:
            assert rest == b"\r\n"
            return body
        body += rest[:length]
        chunked = rest[length + 2 :]


@on_each_loop
async def test_healthz_says_that_the_daemon_runs() -> None:
    """With the position of its log and how many monitors it has."""
    async with Station() as station, monitor(station.url):
        station.publish("plant/a", 1.5)
        status, told = await get(station, "/healthz")
    assert status == 200
    assert told == {"status": "ok", "epoch": EPOCH, "offset": 1, "sessions": 1}


@on_each_loop
async def test_last_values_as_json() -> None:
    """Every name spelt out, with units, times and qualities."""
    async with Station() as station:
        metadata = Metadata(ValueType.FLOAT, unit="Cel", decimals=2, device="boiler")
        channel = station.bus.channel("plant/boiler/temperature", metadata)
        station.publish(channel, 20.5, 21.53, time_us=1_763_829_000_123_000)
        bad = Quality(Level.BAD, "broken wire")
        station.publish("plant/boiler/pressure", None, quality=bad, time_us=1_763_829_000_000_000)
        status, told = await get(station, "/api/readings")
    assert status == 200
    assert told["epoch"] == EPOCH
    assert told["readings"] == [
        {
            "topic": "plant/boiler/temperature",
            "value": 21.53,
            "unit": "Cel",
            "time": "2025-11-22T16:30:00.123000Z",
            "quality": "good",
            "offset": 1,
            "device": "boiler",
        },
        {
            "topic": "plant/boiler/pressure",
            "value": None,
            "unit": "",
            "time": "2025-11-22T16:30:00.000000Z",
            "quality": "bad",
            "reason": "broken wire",
            "offset": 2,
        },
    ]


@on_each_loop
@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ("", ["plant/a", "plant/b", "other/a"]),
        ("?topics=%23", ["plant/a", "plant/b", "other/a"]),
        ("?topics=plant/%23", ["plant/a", "plant/b"]),
        ("?topics=plant/a", ["plant/a"]),
        ("?topics=%2B/a", ["plant/a", "other/a"]),
        ("?topics=plant/a&topics=other/a", ["plant/a", "other/a"]),
        ("?topics=plant/a&topics=plant/%2B", ["plant/a", "plant/b"]),
        ("?topics=$sys/%23", ["$sys/x"]),
        ("?topics=nowhere", []),
        ("?colour=red", ["plant/a", "plant/b", "other/a"]),
    ],
)
async def test_filters_select_readings(query: str, topics: list[str]) -> None:
    """Each topic once, however many filters select it."""
    async with Station() as station:
        for topic in ("plant/a", "plant/b", "other/a", "$sys/x"):
            station.publish(topic, 1.5)
        station.state("plant/silent")
        status, told = await get(station, f"/api/readings{query}")
    assert status == 200
    assert [reading["topic"] for reading in told["readings"]] == topics


@on_each_loop
@pytest.mark.parametrize("pattern", ["a//b", "%23/a", "a%2B", "%00", "a/%FF%FE%0A", "x" * 257])
async def test_a_wrong_filter_is_explained(pattern: str) -> None:
    """HTTP 400, never a failure of the server."""
    async with Station() as station:
        status, told = await get(station, f"/api/readings?topics={pattern}")
    assert status == 400
    assert told["error"].startswith("topics=")


@on_each_loop
@pytest.mark.parametrize("path", ["/web", "/v1", "/metric", "/api/readings/x", "/healthz/", "*"])
async def test_an_unknown_path_is_told_what_there_is(path: str) -> None:
    """HTTP 404."""
    async with Station() as station:
        status, told = await get(station, path)
    assert status == 404
    assert "/metrics, /api/readings, /api/history and /api/stream" in told["error"]


@on_each_loop
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"])
async def test_other_methods_are_refused(method: str) -> None:
    """HTTP 405."""
    async with Station() as station:
        status, told = await get(station, "/healthz", method=method)
    assert status == 405
    assert told == "Only GET is served here.\n"


@on_each_loop
@pytest.mark.parametrize("header", [b"Content-Length: 2", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_a_request_with_a_body_is_told_so(method: bytes, header: bytes) -> None:
    """HTTP 413, however much of the body is still to come; nothing of it is taken for a request."""
    async with Station() as station:
        request = method + b" /healthz HTTP/1.1\r\n" + header + b"\r\n\r\n{}"
        answer = await exchange(station, request, b"x" * 100_000, b"GET /healthz HTTP/1.1\r\n\r\n")
        assert read(answer) == (413, "Only POST /api/readings is served with a body.\n")


@on_each_loop
@pytest.mark.parametrize(
    "garbage",
    [
        b"GET\r\n",
        b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\n\n",
        b"GET /healthz HTTP/2\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"$GPGLL,6005.071,N,02332.346,E,095559,A,D*43\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
    ],
)
async def test_what_is_no_request_is_told_so(garbage: bytes) -> None:
    """HTTP 400, to a mistyped port as to a TLS client."""
    async with Station() as station:
        assert read(await exchange(station, garbage)) == (400, "This is no HTTP request.\n")


@on_each_loop
async def test_who_has_gone_when_it_is_refused_is_no_failure() -> None:
    """Its end of the connection is closed before the answer can be sent."""
    async with Station() as station:
        host, port = station.address.split(":")
        for _ in range(3):
            with socket.create_connection((host, int(port))) as gone:
                gone.sendall(b"garbage\r\n\r\n")
            status, _ = await get(station, "/healthz")
            assert status == 200
        assert station.server.statistics().failures == 0


@on_each_loop
async def test_who_goes_on_sending_after_a_refusal_is_cut_off() -> None:
    """After a second, with nothing of it kept."""

    async def send_for_ever() -> None:
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()
            await client.ask("ping")

    async with Station() as station, monitor(station.url) as client:
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"garbage\n")
        assert b" 400 " in await reader.read()
        with pytest.raises(ConnectionError):
            await send_for_ever()
        writer.close()
        assert station.server.statistics().connections == 1


@on_each_loop
@pytest.mark.parametrize(
    "target", ["//[", "http://[::1/healthz", "//[x]/api", "http://a]b/healthz", "?" * 3000]
)
async def test_a_target_that_is_no_url_does_not_fail_the_server(target: str) -> None:
    """It is one more unknown path, though urlsplit raises for some of them."""
    async with Station() as station:
        status, _ = await get(station, target)
    assert status == 404


@on_each_loop
async def test_two_requests_at_once_get_one_answer() -> None:
    """As said: the connection is closed after each; the second must not spoil the first."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with Station() as station:
        status, told = read(await exchange(station, request + request))
    assert status == 200
    assert told["status"] == "ok"


UPGRADE = b"\r\n".join(
    (
        b"GET /%s HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Protocol: sensord.v1.json",
        b"",
        b"",
    )
)


@on_each_loop
@pytest.mark.parametrize("path", [b"v1", b"nowhere"])
@pytest.mark.parametrize("after", [b"\x00", b"\xff" * 100, b"\x88\x80\0\0\0\0", b"GET / HTTP/1.1"])
async def test_what_follows_an_upgrade_too_early_does_not_fail_the_server(
    path: bytes, after: bytes
) -> None:
    """A client must wait for the answer; one that does not is a nuisance, not an accident."""
    async with Station(replace(Limits(), hello_timeout_s=0.1)) as station:
        await exchange(station, UPGRADE % path + after)


@on_each_loop
async def test_requests_that_arrive_with_the_upgrade_are_served() -> None:
    """Nothing is lost of what came in one packet with the handshake."""
    hello = b'{"op": "hello", "id": 1}'
    masked = bytes([0x81, 0x80 | len(hello)]) + bytes(4) + hello
    async with Station() as station:
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(UPGRADE % b"v1" + masked)
        answer = await reader.readuntil(b'"op":"result","id":1')
        assert b" 101 " in answer
        writer.close()
        await writer.wait_closed()


@on_each_loop
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"\x00" * 5000,
        b"\xff\xfe\n\n\n\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno header\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 1000 + b"\r\n",
        b"GET /" + b"x" * 100_000,
        UPGRADE.replace(b"Version: 13", b"Version: 8") % b"v1",
        UPGRADE.replace(b"GET", b"POST") % b"v1",
        UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"short") % b"v1",
        UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c") % b"v1",
        UPGRADE.replace(b"sensord.v1.json", b",;=\xe4") % b"v1",
    ],
)
async def test_what_is_no_request_is_refused_quietly(raw: bytes) -> None:
    """With an error or without a word, but never with an accident."""
    async with Station() as station:
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw)
        writer.write_eof()
        answer = await reader.read()
        assert b" 101 " not in answer
        assert b" 200 " not in answer
        writer.close()
        await writer.wait_closed()


@on_each_loop
async def test_a_page_larger_than_the_outbox_arrives_whole() -> None:
    """HTTP has no flow control of its own; the kernel's is enough."""
    async with Station() as station:
        for i in range(3000):
            station.publish(f"plant/with/a/rather/long/topic/{i}", i + 0.5)
        status, told = await get(station, "/api/readings")
    assert status == 200
    assert [reading["value"] for reading in told["readings"]] == [i + 0.5 for i in range(3000)]


@on_each_loop
async def test_who_speaks_an_older_http_gets_the_page_without_chunks() -> None:
    """As wget and ab ask; the end of the connection is the end of the page."""
    async with Station() as station:
        station.publish("plant/a", 1.5)
        answer = await exchange(station, b"GET /api/readings HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 OK\r\n" in head
    assert b"chunked" not in head.lower()
    assert json.loads(body)["readings"][0]["value"] == 1.5


@on_each_loop
async def test_who_ends_its_side_after_asking_gets_the_whole_page() -> None:
    """As `printf … | nc` does."""
    async with Station() as station:
        for i in range(5000):
            station.publish(f"plant/{i}", i + 0.5)
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /api/readings HTTP/1.1\r\n\r\n")
        writer.write_eof()
        status, told = read(await reader.read())
        assert (status, len(told["readings"])) == (200, 5000)
        writer.close()
        await writer.wait_closed()


@on_each_loop
async def test_what_follows_a_request_for_a_page_does_not_spoil_it() -> None:
    """Be it another request, or garbage, at once or later."""
    async with Station() as station:
        for i in range(1000):
            station.publish(f"plant/{i}", i + 0.5)
        request = b"GET /api/readings HTTP/1.1\r\n\r\n"
        for more in (request, b"\xff" * 5000, b"\x88\x80\0\0\0\0"):
            status, told = read(await exchange(station, request + more, more, more))
            assert (status, len(told["readings"])) == (200, 1000)


def lazy_socket() -> socket.socket:
    """Return a socket that holds little that is not read."""
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.setblocking(False)
    return lazy


async def ask_lazily(station: Station, lazy: socket.socket) -> None:
    """Request a page and read nothing of it."""
    host, port = station.address.split(":")
    loop = asyncio.get_running_loop()
    await loop.sock_connect(lazy, (host, int(port)))
    await loop.sock_sendall(lazy, b"GET /api/readings HTTP/1.1\r\n\r\n")


def fill(station: Station, count: int = 3000) -> None:
    """Publish more than the kernel would hold for a client that does not read."""
    for i in range(count):
        station.publish(station.state(f"plant/{i}", ValueType.STRING), "x" * 1000)


@on_each_loop
async def test_a_page_that_nobody_reads_is_not_kept_for_ever() -> None:
    """It is let go after the time that a monitor may lag."""
    limits = replace(Limits(), lag_timeout_s=0.2)
    async with Station(limits) as station, monitor(station.url) as client:
        fill(station)
        with lazy_socket() as lazy:
            await ask_lazily(station, lazy)
            while station.server.statistics().connections == 1:
                await client.ask("ping")
            while station.server.statistics().connections == 2:
                await client.ask("ping")


@on_each_loop
async def test_of_a_page_that_nobody_reads_only_a_piece_is_made() -> None:
    """Not all of it, to be kept until it is read or let go."""
    async with Station() as station, monitor(station.url) as client:
        fill(station)
        with lazy_socket() as lazy:
            await ask_lazily(station, lazy)
            while not any(one.is_congested for one in station.server._connections):
                await client.ask("ping")
            [page] = [one for one in station.server._connections if one.page is not None]
            assert page._transport is not None
            assert page._transport.get_write_buffer_size() < MARK_BYTES + 2 * PIECE_BYTES


@on_each_loop
async def test_a_page_is_read_to_its_end_beside_many_that_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those who do not read give their places up, the first one first."""
    monkeypatch.setattr(sensord.server.http.transfer, "STUCK_S", 0.0)
    async with Station() as station, monitor(station.url) as client:
        fill(station)
        with contextlib.ExitStack() as stack:
            for number in range(PAGES + 3):
                lazy = stack.enter_context(lazy_socket())
                await ask_lazily(station, lazy)
                # Until it is congested: only those may have to go.
                while len(congested(station)) < min(number + 1, PAGES):
                    await client.ask("ping")
            status, told = await get(station, "/api/readings")
            assert (status, len(told["readings"])) == (200, 3000)
            assert len(station.server.places) < PAGES
            assert (await get(station, "/healthz"))[0] == 200


def congested(station: Station) -> list[object]:
    return [one for one in station.server._connections if one.page and one.is_congested]


@on_each_loop
async def test_when_all_places_are_taken_by_those_who_read_others_come_back_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTP 503, and how soon."""
    monkeypatch.setattr(sensord.server.http.transfer, "STUCK_S", 3600.0)
    async with Station() as station, monitor(station.url) as client:
        fill(station)
        with contextlib.ExitStack() as stack:
            for _ in range(PAGES):
                await ask_lazily(station, stack.enter_context(lazy_socket()))
            while len(congested(station)) < PAGES:
                await client.ask("ping")
            answer = await exchange(station, b"GET /api/readings HTTP/1.1\r\n\r\n")
            assert read(answer) == (503, "Too many pages are being read; come back later.\n")
            assert b"\r\nRetry-After: 1\r\n" in answer
            assert (await get(station, "/healthz"))[0] == 200


@on_each_loop
async def test_a_page_of_ten_thousand_topics_does_not_stop_the_loop() -> None:
    """Between two pieces others are served: several times before it is complete."""
    async with Station() as station, monitor(station.url) as client:
        for i in range(10_000):
            station.publish(f"plant/{i}", i + 0.5)
        page = asyncio.ensure_future(
            get(station, "/api/readings?" + "&".join(["topics=plant/%23", "topics=%23"] * 32))
        )
        pings = 0
        while not page.done():
            await client.ask("ping")
            pings += 1
        status, told = await page
        assert (status, len(told["readings"])) == (200, 10_000)
        assert pings > 20


@on_each_loop
async def test_a_page_of_a_server_that_stops_ends_with_it() -> None:
    """Whoever does not read is not waited for beyond the deadline."""
    async with Station() as station, monitor(station.url) as client:
        fill(station)
        with lazy_socket() as lazy:
            await ask_lazily(station, lazy)
            while not congested(station):
                await client.ask("ping")
            await station.server.close(0.1)
            assert station.server.statistics().failures == 0


@on_each_loop
async def test_a_line_of_more_than_8_kib_is_refused() -> None:
    """HTTP 414, with all that is still to come unread."""
    async with Station() as station:
        answer = await exchange(station, b"GET /?" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 414 ")


@on_each_loop
async def test_pages_and_websockets_share_the_port() -> None:
    """Neither disturbs the other."""
    async with Station() as station, monitor(station.url) as client:
        story = await client.subscribe("plant/#")
        for i in range(20):
            station.publish("plant/a", float(i))
            status, told = await get(station, "/api/readings?topics=plant/a")
            assert (status, told["readings"][0]["value"]) == (200, float(i))
        await client.until(lambda: len(story.values) == 20)
