"""Acting on the page: leases, who did what, what a connection carries, and what is not offered."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_tokens import _run
from tests.kit.browser import Browser
from tests.kit.daemon import Daemon, sensord

pytestmark = pytest.mark.slow

OVEN = """
[devices.oven]
reader = "serial"
port = "{folder}/ttyUSB0"
decoder = "key_value"
stall = 0
[devices.oven.channels.setpoint]
type = "float"
unit = "Cel"
[devices.oven.writable.setpoint]
send = "SET {{value:g}}\\r\\n"
answer = "^OK"
[devices.oven.actions.light]
send = "LIGHT {{on:ON|OFF}}\\r\\n"
answer = "^OK"
arguments = {{ on = {{ type = "bool" }} }}
"""


ALARM = """
[alarms.hot]
topic = "oven/setpoint"
above = 60
"""


@contextlib.contextmanager
def answering(path: Path, answer: bytes) -> Iterator[None]:
    """Be a device at a pty that answers each line."""
    master, slave = os.openpty()
    path.symlink_to(os.ttyname(slave))

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed by the test
            while os.read(master, 1024):
                os.write(master, answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        os.close(slave)  # when the daemon has gone, the read ends
        thread.join()
        os.close(master)


CARD = "document.querySelector('.card[aria-label=\"oven/setpoint\"]')"


def test_an_operator_takes_a_lease_acts_and_sees_who_did_what(tmp_path: Path) -> None:
    """Also what another client did, and that it was refused meanwhile."""
    with (
        answering(tmp_path / "ttyUSB0", b"OK\r\n"),
        Daemon(tmp_path, OVEN.format(folder=tmp_path)) as daemon,
        Browser(tmp_path / "browser") as browser,
        browser.open(f"http://{daemon.address}/#act") as page,
    ):
        url = f"ws://{daemon.address}"
        daemon.wait_for_log("up")
        page.until(CARD)
        page.until(f"{CARD}.querySelector('.lease button').textContent.startsWith('Keep')")
        page.eval(f"{CARD}.querySelector('.lease button').click()")
        page.until(f"{CARD}.querySelector('.lease').textContent.includes('held by you')")
        refused = sensord("set", "oven/setpoint", "20", "--url", url)
        assert refused.returncode != 0
        page.eval(f"{CARD}.querySelector('input').value = '42.5'")
        page.eval(f"{CARD}.querySelector('form').requestSubmit()")
        page.until(f"{CARD}.querySelector('.outcome').textContent.startsWith('done')")
        page.eval(f"{CARD}.querySelector('.lease button').click()")
        page.until(f"{CARD}.querySelector('.lease button').textContent.startsWith('Keep')")
        assert sensord("set", "oven/setpoint", "20", "--url", url).returncode == 0
        page.until("[...document.querySelectorAll('tbody tr')].length >= 5")
        rows = page.eval(
            "[...document.querySelectorAll('tbody tr')].map((row) =>"
            " [...row.children].slice(2).map((one) => one.textContent))"
        )
        page.until("!/pending/.test(document.querySelector('tbody').textContent)")
        assert page.errors == []
    acts = [row for row in rows if row[0] == "set"]
    assert [row[:1] + row[1:2] for row in acts] == [["set", "oven/setpoint"]] * 3
    assert [row[3].split(":")[0] for row in acts[1:]] == ["done", "held"]
    assert [row[0] for row in rows].count("lease") == 2


def test_what_a_connection_carries_is_seen_beside_its_values(tmp_path: Path) -> None:
    """Live, and it stops when the view is left."""
    with (
        answering(tmp_path / "ttyUSB0", b"setpoint=21.5\r\n"),
        Daemon(tmp_path, OVEN.format(folder=tmp_path)) as daemon,
        Browser(tmp_path / "browser") as browser,
        browser.open(f"http://{daemon.address}/#device/oven") as page,
    ):
        daemon.wait_for_log("up")
        page.until("document.querySelector('.facts dd')")
        page.eval("document.querySelector('.bar button').click()")
        page.until("document.querySelector('.bar button').textContent === 'Pause'")
        sensord("set", "oven/setpoint", "20", "--timeout", "1s", "--url", f"ws://{daemon.address}")
        page.until("document.querySelector('tr.sent')?.textContent.includes('SET 20')")
        page.until("document.querySelector('tr.received')?.textContent.includes('setpoint=21.5')")
        page.until("document.querySelector('tr.value')?.textContent.includes('oven/setpoint')")
        page.eval("location.hash = '#now'")
        page.until("document.querySelector('.row')")
        assert page.errors == []


def test_what_a_token_may_not_do_is_not_offered(tmp_path: Path) -> None:
    """A reader of the page sees values, and no form to change anything."""
    file = ("--file", str(tmp_path / "tokens.json"))
    read = ("--read", "oven/#", "--read", "$sys/#", "--read", "state/#", "--read", "$audit/#")
    made = _run("token", "create", "reader", *read, "--json", *file)
    token = json.loads(made.stdout)["token"]
    doors = f'server.tokens = "{tmp_path}/tokens.json"\n'
    with (
        answering(tmp_path / "ttyUSB0", b"OK\r\n"),
        Daemon(tmp_path, doors + ALARM + OVEN.format(folder=tmp_path)) as daemon,
        Browser(tmp_path / "browser") as browser,
        browser.open(f"http://{daemon.address}/") as page,
    ):
        page.until_there("document.querySelector('#login[data-ready]')")
        page.eval(f"document.querySelector('#token').value = {json.dumps(token)}")
        page.eval("document.querySelector('#login').requestSubmit()")
        page.until_there("location.pathname === '/' && document.querySelector('#views a')")
        for view in ("act", "views", "device/oven", "alarms", "people"):
            page.eval(f"location.hash = '#{view}'")
            page.until("document.querySelector('#link').textContent === 'live'")
            page.until("document.querySelector('main h2')")
            if view in {"alarms", "people"}:
                page.until("document.querySelector('.card, tbody tr')")
            page.eval("new Promise((done) => setTimeout(done, 300))")
            offered = page.eval(
                "[...document.querySelectorAll("
                "'main form:not(.own), main .lease button, main .bar:not(.own) button,"
                " main .acts button')]"
                ".filter((one) => one.checkVisibility()).length"
            )
            assert offered == 0, view
        assert page.errors == []


def test_others_see_the_name_that_somebody_gave_on_the_page(tmp_path: Path) -> None:
    """Whoever acknowledges an alarm was always called "page"."""
    with (
        Daemon(tmp_path, "") as daemon,
        Browser(tmp_path / "browser") as browser,
        browser.open(f"http://{daemon.address}/#people") as page,
    ):
        page.until("document.querySelector('tbody th')?.textContent === 'page'")
        page.eval("document.querySelectorAll('main form input')[1].value = 'Ada'")
        page.eval("document.querySelectorAll('main form')[1].requestSubmit()")
        page.until_there("document.querySelector('tbody th')?.textContent === 'Ada'")
        page.reload()
        page.until("document.querySelector('tbody th')?.textContent === 'Ada'")
        clients = sensord("clients", "--json", "--url", daemon.url).stdout
        assert '"name": "Ada"' in clients
