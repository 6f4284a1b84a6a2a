"""The examples do what they say, in a real browser and in Node."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensord.client import Client, CommandError, Control, SharedState
from sensord.errors import ProtocolError
from tests.kit.browser import Browser
from tests.kit.daemon import SENSORD
from tests.kit.follower import Follower
from tests.kit.pages import served

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def demo() -> Iterator[str]:
    """Run `sensord demo` on a free port; give its address."""
    command = [*SENSORD, "demo", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("listening on "):
                    yield line.split()[2].rstrip(";")
                    return
            raise AssertionError("the demo did not start")
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_page_shows_all_three_patterns(tmp_path: Path) -> None:
    """It shows readings and their history, and hears what others do."""
    with (
        demo() as url,
        served(EXAMPLES) as pages,
        Browser(tmp_path) as browser,
        browser.open(f"{pages}/monitor.html?url={url}/v1") as page,
    ):
        page.until("document.body.dataset.ready")
        row = "[...document.querySelectorAll('tbody tr')].find(r => r.innerText.includes('{}'))"
        page.until(row.format("plant/boiler/temperature") + ".cells[1].innerText > 0")
        page.until(row.format("weather/wind_speed") + ".cells[3].innerText > 0")
        asyncio.run(acknowledge(url))
        page.until("document.querySelector('#told').innerText.includes('by colleague')")
        page.eval(row.format("boat/latitude") + ".querySelector('button').click()")
        page.until("document.querySelector('#told').innerText.includes('by page')")
        assert page.errors == []


async def acknowledge(url: str) -> None:
    """Be a colleague of whoever looks at the page."""
    async with Client(url, name="colleague") as client:
        await SharedState(client).acknowledge("plant/boiler/temperature", "seen")


@pytest.mark.slow
def test_a_service_in_node_derives_and_answers() -> None:
    """It publishes what it makes of what it watches, and its callers are told when it goes."""
    with demo() as url, service(url) as node:
        asyncio.run(use(url, node))


@contextmanager
def service(url: str) -> Iterator[subprocess.Popen[str]]:
    """Run the service in Node until the block ends."""
    command = ["node", "--experimental-websocket", str(EXAMPLES / "service.mjs"), f"{url}/v1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready as ")
            yield process
        finally:
            process.kill()


async def use(url: str, node: subprocess.Popen[str]) -> None:
    """Be a client of the service."""
    async with Client(url, name="colleague") as client:
        derived = Follower(client.subscribe("derived/#"))
        await derived.count(2)
        control = Control(client)
        mean = await control.call("mean", {"topic": "plant/boiler/temperature"})
        assert isinstance(mean, float)
        with pytest.raises(CommandError, match="no_data"):
            await control.call("mean", {"topic": "nothing"})
        node.kill()
        listed = Follower(client.subscribe("$sys/services"))
        await listed.update(lambda update: update.reading.value == {})
        with pytest.raises(ProtocolError, match="not_found"):
            await control.call("mean", {})
