"""The chart of a topic: its own ledger beside the journal, ranges that are marked, its files."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.browser import Browser, Page
from tests.kit.cutter import Cutter, How
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord

PLANT = """
[journal]
folder = "{folder}/journal"
commit_interval = "100ms"

[devices.boiler]
reader = "simulated"
interval = "50ms"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
signals.temperature = {{ shape = "ramp", low = 0, high = 1000, period = "1000s" }}
signals.pressure = {{ shape = "ramp", low = 5, high = 6, period = "700s" }}
channels.temperature = {{ unit = "Cel", decimals = 2 }}
channels.pressure = {{ unit = "bar", decimals = 4 }}

[clients.topics."note/+"]
type = "string"
retain = true
"""

TOPICS = ("plant/temperature", "plant/pressure")
CHART = "topic/plant%2Ftemperature,plant%2Fpressure"

SAVED = """
const create = URL.createObjectURL;
URL.createObjectURL = (blob) => { window.saved = blob; return create.call(URL, blob); };
HTMLAnchorElement.prototype.click = function () { window.named = [this.download, this.href]; };
0
"""

PRESS = (
    "[...document.querySelectorAll('main button')].find((one) => one.textContent === {}).click()"
)


def press(page: Page, label: str) -> None:
    """Click the button with this text."""
    page.eval(PRESS.format(json.dumps(label)))


def rows(page: Page) -> list[tuple[str, str, float]]:
    """Return what the chart holds, by saving it."""
    press(page, "CSV")
    found = csv.DictReader(io.StringIO(page.eval("window.saved.text()")))
    return [(one["time"], one["topic"], float(one["value"])) for one in found]


def history(daemon: Daemon, topic: str) -> list[tuple[str, str, float]]:
    """Return what the journal holds; a value that is confirmed counts when it was confirmed."""
    done = sensord("history", topic, "--from", "-1h", "--json", "--url", daemon.url)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [
        (one.get("restated", one["time"]), one["topic"], one["value"])
        for one in found
        if one.get("quality") == "good"
    ]


WAYS: list[Any] = [
    pytest.param("close", 40, id="closed"),
    pytest.param("half", 1, id="black hole"),
    pytest.param("half", 1200, id="a minute", marks=pytest.mark.trial),
]


@pytest.mark.slow
@pytest.mark.parametrize(("how", "missed"), WAYS)
def test_a_chart_has_what_the_journal_has_after_cuts_and_restarts(
    tmp_path: Path, how: How, missed: int
) -> None:
    """Two curves run on: no hole but those that are named, and nothing twice."""

    async def run() -> None:
        with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
            async with Cutter(lambda: daemon.address) as cutter:
                url = f"{cutter.url.replace('ws', 'http')}/#{CHART}"
                await in_thread(watch, tmp_path, daemon, cutter, url, how, missed)

    on_uvloop(240)(run)()


def watch(folder: Path, daemon: Daemon, cutter: Cutter, url: str, how: How, missed: int) -> None:
    """Have a page draw while its link is cut and the daemon restarts; compare."""
    with Browser(folder / "browser") as browser, browser.open(url) as page:
        page.until("document.querySelector('.chart canvas')")
        page.eval(SAVED)
        wait(lambda: len(rows(page)) > 40)
        cutter.is_refusing = True
        cutter.cut(how)
        begin = len(history(daemon, TOPICS[0]))
        wait(lambda: len(history(daemon, TOPICS[0])) > begin + missed)
        page.until("document.querySelector('#link').dataset.state === 'down'")
        cutter.is_refusing = False
        cutter.release()
        page.until("document.querySelector('#link').dataset.state === 'up'")
        for end in (daemon.kill, daemon.stop):
            count = len(rows(page))
            wait(lambda count=count: len(rows(page)) > count + 20)  # type: ignore[misc]
            end()
            daemon.start()
            page.until("document.querySelector('#link').dataset.state === 'up'")
        count = len(rows(page))
        wait(lambda: len(rows(page)) > count + 40)
        drawn = rows(page)
        missing = page.eval("document.querySelector('main > .soft:not(.big ~ p)')?.textContent")
        assert page.errors == []
    for topic in TOPICS:
        mine = [one for one in drawn if one[1] == topic]
        last = mine[-1][0]
        assert len(set(mine)) == len(mine), "nothing came twice"
        held = {one for one in history(daemon, topic) if one[0] <= last}
        assert held <= set(mine), "all that the journal has is drawn"
        # What a kill removed from the journal, a chart may have seen: a commit interval at most.
        assert len(set(mine) - held) < 40
    assert missing is not None


def wait(condition: Callable[[], bool]) -> None:
    """Ask until it is so; each question takes a moment."""
    while not condition():
        pass


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        yield daemon


@pytest.fixture
def page(daemon: Daemon, tmp_path: Path) -> Iterator[Page]:
    with (
        Browser(tmp_path / "browser") as browser,
        browser.open(f"http://{daemon.address}/#{CHART}") as page,
    ):
        page.until("document.querySelector('.chart canvas')")
        page.eval(SAVED)
        yield page
        assert page.errors == []


@pytest.mark.slow
def test_what_is_marked_in_a_chart_becomes_its_range(page: Page) -> None:
    """It stands still, is an address that others can open, and leads back to the present."""
    wait(lambda: len(rows(page)) > 100)
    left, top, width, height = page.eval(
        "(({ left, top, width, height }) => [left, top, width, height])"
        "(document.querySelector('.u-over').getBoundingClientRect())"
    )
    page.drag(left + width * 0.8, left + width - 1, top + height / 2)
    page.until("/~[0-9]+-[0-9]+$/.test(location.hash)")
    begin, end = (int(one) for one in page.eval("location.hash.split('~')[1]").split("-"))
    assert 110 < end - begin < 130
    page.until("document.querySelector('.chart canvas')")
    wait(lambda: len(rows(page)) > 20)
    before = rows(page)
    page.eval("new Promise((done) => setTimeout(done, 1500))")
    assert rows(page) == before
    press(page, "To the present")
    page.until("location.hash.endsWith('~10m')")
    page.until("document.querySelector('.chart canvas')")
    wait(lambda: len(rows(page)) > len(before))


@pytest.mark.slow
def test_a_range_is_moved_by_keys_alone(page: Page) -> None:
    """The button that was pressed keeps the focus, though the chart is another."""
    page.eval(
        "[...document.querySelectorAll('main button')]"
        ".find((one) => one.textContent === 'Earlier').focus()"
    )
    page.press("Enter")
    page.until("/~[0-9]+-[0-9]+$/.test(location.hash)")
    page.until(
        "document.querySelector('main').innerText.includes('To the present') &&"
        " document.activeElement.textContent === 'Earlier'"
    )
    first = page.eval("location.hash")
    page.press("Enter")
    page.until(f"location.hash !== {json.dumps(first)}")
    ends = [int(one.rpartition("-")[2]) for one in (first, page.eval("location.hash"))]
    assert 295 <= ends[0] - ends[1] <= 305


@pytest.mark.slow
def test_a_picture_of_a_chart_has_a_ground(page: Page, tmp_path: Path) -> None:
    """And names its topics: a transparent one cannot be read on every page."""
    press(page, "PNG")
    name, url = page.eval("window.named")
    assert name == "plant_temperature+plant_pressure.png"
    (tmp_path / "chart.png").write_bytes(base64.b64decode(url.split(",")[1]))
    least = page.eval(
        "new Promise((done) => { const image = new Image(); image.onload = () => {"
        "const canvas = document.createElement('canvas');"
        "canvas.width = image.width; canvas.height = image.height;"
        "const pen = canvas.getContext('2d'); pen.drawImage(image, 0, 0);"
        "const { data } = pen.getImageData(0, 0, image.width, image.height);"
        "let least = 255;"
        "for (let i = 3; i < data.length; i += 4) least = Math.min(least, data[i]);"
        f"done(least); }}; image.src = {json.dumps(url)}; }})"
    )
    assert least == 255


@pytest.mark.slow
def test_a_topic_of_texts_is_shown_as_a_table(page: Page, daemon: Daemon) -> None:
    """A chart of it would be empty."""
    assert sensord("publish", "note/word", "on", "--url", daemon.url).returncode == 0
    page.eval("location.hash = '#topic/note%2Fword'")
    page.until("document.querySelector('.chart .note')?.textContent.includes('not numbers')")
    page.eval("document.querySelector('details').open = true")
    page.until("document.querySelector('tbody td.num')?.textContent.includes('on')")
