"""The past on the page: named views, a replay on every view, and a stretch as a file."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.browser import Browser, Page
from tests.kit.daemon import Daemon, sensord

pytestmark = pytest.mark.slow

PLANT = """
[journal]
folder = "{folder}/journal"
commit_interval = "100ms"

[devices.boiler]
reader = "simulated"
interval = "50ms"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
signals.temperature = {{ shape = "ramp", low = 0, high = 1000, period = "100s" }}
signals.word = {{ shape = "constant", low = 20 }}
channels.temperature = {{ unit = "Cel", decimals = 2, description = "flow; \\"hot\\"" }}
"""

ROW = "document.querySelector('[data-topic=\"plant/temperature\"]')"
FIELD = """
((selector, value) => {{
  const field = document.querySelectorAll(selector)[{index}];
  field.value = value;
  field.dispatchEvent(new Event("change"));
}})({selector}, {value})
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        yield daemon


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "browser") as browser:
        yield browser


def fill(page: Page, selector: str, index: int, value: str) -> None:
    """Have a field hold a value, as if somebody had typed it."""
    page.eval(FIELD.format(index=index, selector=json.dumps(selector), value=json.dumps(value)))


def test_a_view_saved_by_one_is_opened_by_another(daemon: Daemon, browser: Browser) -> None:
    """With its topics and curves; it changes for whoever has it open, and is gone when removed."""
    url = f"http://{daemon.address}"
    with browser.open(f"{url}/#views") as page:
        page.until("document.querySelector('.plain .note')")
        fill(page, "form input", 0, "boiler room")
        fill(page, "form input", 1, "plant/temp+, plant/+")
        page.eval("document.querySelector('form').requestSubmit()")
        page.until("document.querySelector('.plain a')?.textContent === 'boiler room'")
        with browser.open(f"{url}/?wall#view/boiler%20room") as wall:
            wall.until("document.querySelectorAll('.card').length === 2")
            wall.until(f"{ROW}.querySelector('.big').textContent.includes('°C')")
            wall.until(f"!{ROW}.querySelector('canvas').hidden")
            assert wall.eval("getComputedStyle(document.querySelector('nav')).display") == "none"
            page.eval("document.querySelector('.plain button').click()")
            fill(page, "form input", 1, "plant/word")
            page.eval("document.querySelector('form').requestSubmit()")
            wall.until("document.querySelectorAll('.card').length === 1")
            page.eval("document.querySelectorAll('.plain button')[1].click()")
            wall.until("document.querySelector('.note').checkVisibility()")
            assert wall.eval("document.querySelectorAll('.card').length") == 0
            assert wall.errors == []
        assert page.errors == []


def test_a_bad_name_of_a_view_is_refused(daemon: Daemon, browser: Browser) -> None:
    """With a sentence, and nothing is written."""
    with browser.open(f"http://{daemon.address}/#views") as page:
        page.until("document.querySelector('.plain .note')")
        fill(page, "form input", 0, "a/b")
        fill(page, "form input", 1, "#")
        page.eval("document.querySelector('form').requestSubmit()")
        page.until("document.querySelector('.toast')?.textContent.includes('letters')")
    assert "a/b" not in sensord("get", "state/#", "--url", f"ws://{daemon.address}").stdout


def test_a_wall_says_since_when_it_shows_nothing_new(daemon: Daemon, browser: Browser) -> None:
    """Its values are faint as long as nobody is there, and come back by themselves."""
    with browser.open(f"http://{daemon.address}/?wall#now") as page:
        page.until(f"{ROW}?.querySelector('.value').textContent.includes('°C')")
        daemon.kill()
        page.until("document.body.classList.contains('stale')")
        assert "not connected since" in page.eval("document.querySelector('#link').textContent")
        assert page.eval(f"getComputedStyle({ROW}.querySelector('.value')).opacity") < "1"
        before = page.eval(f"{ROW}.querySelector('.value').textContent")
        daemon.start()
        page.until("!document.body.classList.contains('stale')")
        page.until(f"{ROW}.querySelector('.value').textContent !== {json.dumps(before)}")


def value_of(page: Page) -> float:
    """Return the temperature that is shown."""
    text = page.eval(f"{ROW}?.querySelector('.value').textContent ?? ''")
    return float(text.split()[0]) if text else -1.0


def test_the_past_is_replayed_on_the_view_of_values(daemon: Daemon, browser: Browser) -> None:
    """Paused, continued, at another place and speed; then it shows the present again."""
    with browser.open(f"http://{daemon.address}/#now") as page:
        page.until(f"{ROW}?.querySelector('.value').textContent.includes('°C')")
        page.until(f"parseFloat({ROW}.querySelector('.value').textContent) > 3")
        page.eval("document.querySelector('nav button').click()")
        page.until("document.querySelector('#replay form')")
        present = value_of(page)
        page.eval("document.querySelector('#replay form').requestSubmit()")
        page.until("document.querySelector('#replay time')")
        page.eval("document.querySelector('#replay select').value = '60'")
        page.eval("document.querySelector('#replay select').dispatchEvent(new Event('change'))")
        page.until(f"{ROW}?.querySelector('.value').textContent.includes('°C')")
        assert value_of(page) < present, "the first reading of the hour is older than what was seen"
        page.eval("location.hash = '#topic/plant%2Ftemperature'")
        page.until("document.querySelector('.big')?.textContent.includes('°C')")
        page.until("document.querySelector('.chart canvas')")
        page.until("document.querySelector('#replay time').textContent.includes('end')")
        assert "Play" in page.eval("document.querySelector('#replay').innerText")
        page.eval("location.hash = '#now'")
        page.eval("[...document.querySelectorAll('#replay button')].at(-1).click()")
        page.until("document.querySelector('#replay') === null")
        page.until(f"parseFloat({ROW}?.querySelector('.value').textContent) > {present}")
        assert page.errors == []


def test_a_replay_that_is_paused_stands_still_until_it_is_stepped(
    daemon: Daemon, browser: Browser
) -> None:
    """By one reading at a time."""
    with browser.open(f"http://{daemon.address}/#now") as page:
        page.until(f"parseFloat({ROW}?.querySelector('.value').textContent) > 2")
        page.eval("document.querySelector('nav button').click()")
        page.until("document.querySelector('#replay form')")
        page.eval("document.querySelector('#replay form').requestSubmit()")
        page.until(f"{ROW}?.querySelector('.value').textContent.includes('°C')")
        page.eval("document.querySelector('#replay button.primary').click()")
        page.until("document.querySelector('#replay button.primary').textContent === 'Play'")
        page.eval("new Promise((done) => setTimeout(done, 300))")  # what was on its way
        before = value_of(page)
        shown = page.eval("document.querySelector('#replay time').textContent")
        page.eval("new Promise((done) => setTimeout(done, 700))")
        assert value_of(page) == before
        assert page.eval("document.querySelector('#replay time').textContent") == shown
        for _ in range(4):
            page.eval("document.querySelectorAll('#replay button')[1].click()")
        page.until(f"parseFloat({ROW}.querySelector('.value').textContent) > {before}")


SAVED = """
const create = URL.createObjectURL;
URL.createObjectURL = (blob) => { window.saved = blob; return create.call(URL, blob); };
0
"""
TAKEN = """
window.saved.arrayBuffer().then((all) =>
  btoa([...new Uint8Array(all)].map((one) => String.fromCharCode(one)).join("")))
"""


@pytest.mark.parametrize("kind", ["CSV", "MCAP"])
def test_a_stretch_is_saved_as_a_file(
    daemon: Daemon, browser: Browser, tmp_path: Path, kind: str
) -> None:
    """Each reading of the journal once, with its time, unit and quality; sensord reads it, too."""
    with browser.open(f"http://{daemon.address}/#recordings") as page:
        page.until("document.querySelectorAll('.facts dd').length >= 3")
        assert "recording" in page.eval("document.querySelector('.facts').innerText")
        page.eval(SAVED)
        fill(page, "form input", 0, "plant/temperature")
        fill(page, "form select", 0, kind)
        page.eval("document.querySelector('form').requestSubmit()")
        page.until("window.saved && /reading/.test(document.querySelector('.outcome').textContent)")
        count = int(page.eval("document.querySelector('.outcome').textContent").split()[0])
        file = tmp_path / f"saved.{kind.lower()}"
        file.write_bytes(base64.b64decode(page.eval(TAKEN)))
        assert page.errors == []
    assert count > 5
    url = f"ws://{daemon.address}"
    rows = sensord("history", "plant/temperature", "--from", "-1h", "--json", "--url", url)
    expected = [
        (one["time"], one["value"])
        for line in rows.stdout.splitlines()
        if (one := json.loads(line)).get("topic") == "plant/temperature"
    ][:count]
    exported = sensord("export", str(file), "--format", "csv").stdout if kind == "MCAP" else ""
    found = list(csv.DictReader(io.StringIO(exported or file.read_text())))
    assert [(one["time"], float(one["value"])) for one in found] == expected
    assert {(one["topic"], one["unit"], one["quality"]) for one in found} == {
        ("plant/temperature", "Cel", "good")
    }
