"""Pages of other sites and rebound names get nothing: `docs/protocol.md`, section 2.1."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sensord.access.origins import Origins
from sensord.client import Client, ClientError
from tests.integration.test_http import exchange
from tests.kit.browser import Browser
from tests.kit.daemon import Daemon
from tests.kit.loops import on_each_loop
from tests.kit.pages import served
from tests.kit.station import Station

UPGRADE = (
    "GET /v1 HTTP/1.1\r\n{headers}Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: sensord.v1.json\r\n\r\n"
)
GET = "GET /api/readings HTTP/1.1\r\n{headers}\r\n"

LISTED = "https://panel.example"

TANK = """
    [devices.tank]
    reader = "simulated"
    topic = "tank/{field}"
    signals.level = { shape = "constant", low = 4 }
    writable.level = { range = [0, 400] }
"""


def lines(**headers: str) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


async def heads(station: Station, **headers: str) -> list[str]:
    """Return the heads of the answers to an upgrade and to a request for values."""
    both = []
    host, port = station.address.split(":")
    for request in (UPGRADE, GET):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request.format(headers=lines(**headers)).encode())
        both.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.close()
        await writer.wait_closed()
    return both


@on_each_loop
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:8765", "Origin": "https://evil.example"},
        {"Host": "127.0.0.1:8765", "Origin": "null"},
        {"Host": "evil.example:8765"},
        {"Host": "evil.example:8765", "Origin": "http://evil.example:8765"},
    ],
)
async def test_foreign_pages_and_names_get_403(headers: dict[str, str]) -> None:
    """On an upgrade and on a request alike, without a header that would let a page read it."""
    async with Station() as station:
        for head in await heads(station, **headers):
            assert head.startswith("HTTP/1.1 403 ")
            assert "Access-Control" not in head


@on_each_loop
async def test_a_foreign_page_got_a_set_through_the_loopback() -> None:
    """The daemon answered its hello and served its requests; now it says what to configure."""
    async with Station() as station:
        request = UPGRADE.format(headers=lines(Host="localhost", Origin="https://evil.example"))
        answer = await exchange(station, request.encode())
    text = b"Refused: pages of https://evil.example may not connect: if that page is yours, add"
    assert text in answer


@on_each_loop
async def test_programs_and_own_pages_pass() -> None:
    """Without an Origin, or with that of the server itself."""
    async with Station() as station:
        for headers in (
            {"Host": station.address},
            {"Host": station.address, "Origin": f"http://{station.address}"},
        ):
            upgraded, page = await heads(station, **headers)
            assert upgraded.startswith("HTTP/1.1 101 ")
            assert page.startswith("HTTP/1.1 200 ")
            assert "Access-Control" not in page


@on_each_loop
async def test_a_listed_page_may_read_answers() -> None:
    """By the headers of CORS, which name its origin and no other."""
    async with Station(origins=Origins.of([LISTED], [])) as station:
        upgraded, page = await heads(station, Host="localhost", Origin=LISTED)
        assert upgraded.startswith("HTTP/1.1 101 ")
        assert f"Access-Control-Allow-Origin: {LISTED}\r\n" in page
        assert "Vary: Origin\r\n" in page
        preflight = f"OPTIONS /api/readings HTTP/1.1\r\nHost: localhost\r\nOrigin: {LISTED}\r\n\r\n"
        answer = (await exchange(station, preflight.encode())).decode()
        assert answer.startswith("HTTP/1.1 204 ")
        assert (
            "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key" in answer
        )
        foreign = preflight.replace(LISTED, "http://localhost")
        assert (await exchange(station, foreign.encode())).startswith(b"HTTP/1.1 405 ")


@on_each_loop
@pytest.mark.parametrize("target", ["/healthz", "/api/readings", "/none"])
async def test_every_answer_has_sound_headers(target: str) -> None:
    """A browser guesses no types, frames nothing, keeps nothing, and loads nothing from afar."""
    async with Station() as station:
        for request in (
            f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            f"POST {target} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            UPGRADE.format(headers="Host: localhost\r\n").replace("/v1", target),
        ):
            head = (await exchange(station, request.encode())).partition(b"\r\n\r\n")[0].decode()
            assert "X-Content-Type-Options: nosniff" in head
            assert "frame-ancestors 'none'" in head
            assert "Cross-Origin-Resource-Policy: same-origin" in head
            if not head.startswith("HTTP/1.1 404 ") or "Upgrade" not in request:
                assert "Cache-Control: no-store" in head


@on_each_loop
@pytest.mark.parametrize("name", ["Host", "Origin"])
async def test_a_header_that_comes_twice_is_malformed(name: str) -> None:
    """One of the two could pass the check while the other is meant."""
    async with Station() as station:
        twice = f"{name}: http://localhost\r\n" * 2
        answer = await exchange(station, GET.format(headers=twice).encode())
        assert answer.startswith(b"HTTP/1.1 400 ")
        without = GET.format(headers="").encode()
        assert (await exchange(station, without)).startswith(b"HTTP/1.1 200 ")


@on_each_loop
async def test_the_client_repeats_why_it_was_refused() -> None:
    """A name that is not this machine's is for the operator to list."""
    async with Station() as station:
        checked = Origins(hosts=frozenset())
        station.server.entrance = replace(station.server.entrance, origins=checked)
        url = f"ws://localhost:{station.address.rpartition(':')[2]}"
        with pytest.raises(ClientError, match=r"localhost.* add the name to server\.hosts"):
            async with Client(url):
                raise AssertionError("it was let in")


@pytest.mark.slow
def test_in_a_browser_a_page_of_another_origin_gets_nothing(tmp_path: Path) -> None:
    """No value, no WebSocket, no script made of an answer; once listed, all of it."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<!doctype html><title>foreign</title>")
    with served(site) as pages, Browser(tmp_path / "chromium") as browser:
        for origins, expected in (("", "refused"), (f'server.origins = ["{pages}"]', "open")):
            with Daemon(tmp_path, f"{origins}\n{TANK}") as daemon, browser.open(pages) as page:
                page.until("document.title === 'foreign'")
                page.eval(
                    f"const ws = new WebSocket('{daemon.url}/v1', 'sensord.v1.json');"
                    "ws.onopen = () => (document.body.dataset.ws = 'open');"
                    "ws.onerror = () => (document.body.dataset.ws = 'refused');"
                    f"fetch('http://{daemon.address}/api/readings').then("
                    "() => (document.body.dataset.get = 'open'),"
                    "() => (document.body.dataset.get = 'refused'));"
                )
                page.until(f"document.body.dataset.ws === '{expected}'")
                page.until(f"document.body.dataset.get === '{expected}'")
