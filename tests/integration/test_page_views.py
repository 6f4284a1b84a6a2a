"""Every view of the page on every screen: in its frame, and without a fault that axe-core finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.browser import Browser, Page
from tests.kit.daemon import REPOSITORY, Daemon, sensord

pytestmark = pytest.mark.slow

AXE = REPOSITORY / ".venv" / "axe.min.js"

CONFIG = """
[journal]
folder = "{folder}/journal"
commit_interval = "100ms"

[devices.boiler]
reader = "simulated"
interval = "100ms"
topic = "plant/boiler/{{field}}"
description = "boiler controller in the cellar"
publish = {{ policy = "every" }}
signals.temperature = {{ low = 40, high = 80, period = "60s", noise = 0.5 }}
signals.pressure = {{ low = 1, high = 3, period = "30s" }}
signals.setpoint = {{ shape = "constant", low = 20 }}
channels.temperature = {{ unit = "Cel", decimals = 1, description = "flow" }}
channels.pressure = {{ unit = "bar", decimals = 3, range = [1.5, 10] }}
channels.setpoint = {{ unit = "Cel", decimals = 1, range = [5, 80] }}
writable.setpoint = {{}}

[devices.weather]
reader = "simulated"
interval = "500ms"
topic = "weather/{{field}}"
signals.wind_speed = {{ low = 2, high = 14, period = "40s", noise = 0.4, decimals = 1 }}
channels.wind_speed = {{ unit = "m/s", decimals = 1 }}

[devices.meter]
reader = "serial"
port = "/dev/serial/by-id/usb-FTDI_not_plugged-if00-port0"
decoder = "json"
topic = "house/meter/{{field}}"

[alarms.warm]
topic = "plant/boiler/temperature"
above = 30
priority = "high"
text = "open the bypass valve beside the boiler, then look at the pump"

[alarms.calm]
topic = "weather/wind_speed"
above = 90
priority = "low"
"""

READY = {
    "now": "document.querySelectorAll('.row .value').length > 3",
    "topic/plant%2Fboiler%2Ftemperature": "document.querySelector('.chart canvas')",
    "topic/plant%2Fboiler%2Ftemperature,weather%2Fwind_speed~1d": (
        "document.querySelector('.chart canvas')"
    ),
    "devices": "document.querySelectorAll('tbody tr').length >= 3",
    "alarms": "document.querySelector('.card[data-state=raised]')",
    "act": "document.querySelector('.card form')",
    "people": "document.querySelector('tbody tr')",
    "views": "document.querySelector('.plain a')",
    "view/plant": "document.querySelectorAll('.card canvas:not([hidden])').length >= 3",
    "device/boiler": "document.querySelector('.facts dd')",
    "recordings": "document.querySelector('.facts dd')",
}

SCREENS = [(360, 740), (1280, 800), (3840, 2160)]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon:
        view = '{"topics": ["plant/#", "weather/+"], "range": "10m", "layout": "curves"}'
        sensord("put", "state/views/plant", view, "--url", f"ws://{daemon.address}")
        yield daemon


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "browser") as browser:
        yield browser


def violations(page: Page) -> list[str]:
    """Return what axe-core finds: the rule, and the elements."""
    if not AXE.exists():
        pytest.skip("axe-core is missing; scripts/setup dev fetches it where it may")
    page.eval(AXE.read_text() + "; 0")
    found: dict[str, Any] = page.eval("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{one['id']}: {', '.join(str(node['target']) for node in one['nodes'][:3])}"
        for one in found["violations"]
    ]


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("view", READY)
def test_a_view_fits_every_screen_and_is_accessible(
    daemon: Daemon, browser: Browser, tmp_path: Path, view: str, is_dark: bool
) -> None:
    """Nothing sticks out, nothing is too faint, everything has a name."""
    with browser.open("about:blank") as page:
        page.size(*SCREENS[0], is_dark=is_dark)
        page.navigate(f"http://{daemon.address}/#{view}")
        page.until(READY[view])
        for width, height in SCREENS:
            page.size(width, height, is_dark=is_dark)
            page.until(f"innerWidth === {width}")
            page.screenshot(tmp_path / f"{width}.png")
            widest = page.eval("document.documentElement.scrollWidth")
            assert widest <= width, f"{widest} pixels wide on {width}"
            assert violations(page) == []
        assert page.errors == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_the_controls_of_a_replay_fit_every_screen(
    daemon: Daemon, browser: Browser, is_dark: bool
) -> None:
    """The form, and then the controls."""
    with browser.open("about:blank") as page:
        page.size(*SCREENS[0], is_dark=is_dark)
        page.navigate(f"http://{daemon.address}/#now")
        page.until(READY["now"])
        page.eval("document.querySelector('nav button').click()")
        page.until("document.querySelector('#replay form')")
        for is_playing in (False, True):
            if is_playing:
                page.eval("document.querySelector('#replay form').requestSubmit()")
                page.until("document.querySelector('#replay time')")
                page.until(READY["now"])
            for width, height in SCREENS:
                page.size(width, height, is_dark=is_dark)
                page.until(f"innerWidth === {width}")
                assert page.eval("document.documentElement.scrollWidth") <= width
                assert violations(page) == []
        assert page.errors == []


ELEMENTS = (
    "[...document.querySelectorAll('a, button, input, select, summary, [tabindex=\"0\"]')]"
    ".filter((one) => one.checkVisibility() && !one.disabled)"
)
FOCUSABLE = f"{ELEMENTS}.length"
NAMED = (
    "(document.activeElement.ariaLabel || document.activeElement.textContent.trim()"
    " || document.activeElement.labels?.[0]?.textContent || '').length > 0"
)
FOCUSED = "getComputedStyle(document.activeElement).outlineStyle"


@pytest.mark.parametrize("view", READY)
def test_every_view_is_reached_by_tab_alone(daemon: Daemon, browser: Browser, view: str) -> None:
    """Each element with a name and a visible focus, and no place where it is caught."""
    with browser.open("about:blank") as page:
        page.size(1280, 2000)
        page.navigate(f"http://{daemon.address}/#{view}")
        page.until(READY[view])
        page.eval("window.reached = new Set()")
        for _ in range(4 * page.eval(FOCUSABLE)):  # a field for a time has several stops
            page.press("Tab")
            if page.eval("document.activeElement === document.body"):
                continue  # all round
            page.eval("reached.add(document.activeElement); 0")
            assert page.eval(FOCUSED) != "none", page.eval("document.activeElement.outerHTML")
            assert page.eval(NAMED), page.eval("document.activeElement.outerHTML")
        missed = page.eval(
            f"{ELEMENTS}.filter((one) => !reached.has(one)).map((one) => one.outerHTML)"
        )
        assert missed == []


def test_an_alarm_is_acknowledged_by_keys_alone(daemon: Daemon, browser: Browser) -> None:
    """The card keeps the focus while values change around it."""
    with browser.open(f"http://{daemon.address}/#alarms") as page:
        card = "document.querySelector('.card[aria-label=warm]')"
        page.until(f"{card}?.dataset.state === 'raised'")
        while page.eval(f"document.activeElement !== {card}.querySelector('button.primary')"):
            page.press("Tab")
        page.press("Enter")
        page.until(f"{card}.dataset.state === 'acknowledged'")


def test_a_topic_is_pinned_by_keys_and_keeps_the_focus(daemon: Daemon, browser: Browser) -> None:
    """Though its row is at another place, and another element."""
    with browser.open(f"http://{daemon.address}/#now") as page:
        page.until(READY["now"])
        star = "[data-topic='weather/wind_speed'] button"
        page.eval(f'document.querySelector("{star}").focus()')
        page.press("Enter")
        page.until("document.querySelector('.row').dataset.topic === 'weather/wind_speed'")
        page.until(f'document.activeElement === document.querySelector("{star}")')
        assert page.eval("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_a_phone_shows_how_a_value_came_to_be(daemon: Daemon, browser: Browser) -> None:
    """Its shape at least: a bad value must not look like a good one; the word is read out."""
    with browser.open("about:blank") as page:
        page.size(360, 740)
        page.navigate(f"http://{daemon.address}/#now")
        page.until(READY["now"])
        seen = page.eval(
            "[...document.querySelectorAll('.row .quality')].map((one) =>"
            " [one.checkVisibility(), one.getBoundingClientRect().width, one.textContent])"
        )
    assert seen
    assert all(is_visible and width >= 10 and word for is_visible, width, word in seen), seen


PAINTED = """
(() => {
  const canvas = document.querySelector(".chart canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const wanted = [11, 99, 83]; // --spark in a light page
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (wanted.every((one, j) => Math.abs(data[i + j] - one) < 12) && data[i + 3] > 200) count += 1;
  return count;
})()
"""


def test_a_lone_interval_is_drawn(daemon: Daemon, browser: Browser) -> None:
    """What was received for a few seconds is to be seen in the chart of a day."""
    with browser.open("about:blank") as page:
        page.size(1280, 800)
        page.navigate(f"http://{daemon.address}/#topic/plant%2Fboiler%2Ftemperature~1d")
        page.until("document.querySelector('.chart canvas')")
        page.until("document.querySelector('details summary')")
        page.until("document.querySelector('.u-series')")
        assert page.eval(f"new Promise((done) => setTimeout(() => done({PAINTED}), 300))") > 0
