"""The examples do what they say, in a real browser and in Node."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensord.client import Client, SharedState
from tests.kit.browser import Browser
from tests.kit.daemon import SENSORD
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
