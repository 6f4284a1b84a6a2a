"""The page at ``/`` in a real browser, and the files that the daemon serves for it."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.browser import Browser
from tests.kit.daemon import Daemon, sensord
from tests.kit.node import node

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
signals.setpoint = {{ shape = "constant", low = 20 }}
channels.temperature = {{ unit = "Cel", decimals = 1 }}
channels.setpoint = {{ unit = "Cel", decimals = 1, range = [5, 80] }}
writable.setpoint = {{}}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        yield daemon


def address(daemon: Daemon) -> str:
    return f"http://{daemon.address}"


def fetched(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, dict(exc.headers), exc.read()


def test_files_of_the_page_are_kept_until_they_change(daemon: Daemon) -> None:
    """And nothing else is served, whatever a path looks like."""
    status, headers, body = fetched(address(daemon) + "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"/web/app.js" in body
    tag = headers["ETag"]
    assert fetched(address(daemon) + "/", **{"If-None-Match": tag})[0] == 304
    for path, kind in (("app.js", "text/javascript"), ("style.css", "text/css")):
        status, headers, _ = fetched(f"{address(daemon)}/web/{path}")
        assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
    for path in ("/web/../http.py", "/web/__init__.py", "/web/%2e%2e/http.py", "/web/", "/web/x"):
        assert fetched(address(daemon) + path)[0] == 404
    assert headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_files_are_compressed_for_those_who_read_that(daemon: Daemon) -> None:
    """Each form has its own tag, so that a browser never takes one for the other."""
    url = address(daemon) + "/web/client.js"
    status, plain_headers, plain = fetched(url)
    assert (status, plain_headers.get("Content-Encoding")) == (200, None)
    headers: dict[str, str] = {}
    for accepted in ("gzip, deflate, br", "br;q=1.0, gzip;q=0.8", "GZIP"):
        status, headers, body = fetched(url, **{"Accept-Encoding": accepted})
        assert (status, headers["Content-Encoding"]) == (200, "gzip")
        assert int(headers["Content-Length"]) == len(body) < len(plain) / 2
        assert gzip.decompress(body) == plain
        assert headers["ETag"] != plain_headers["ETag"]
        assert "Accept-Encoding" in headers["Vary"]
    tag = headers["ETag"]
    again = fetched(url, **{"Accept-Encoding": "gzip", "If-None-Match": tag})
    assert (again[0], again[1].get("Content-Encoding"), again[2]) == (304, None, b"")
    assert fetched(url, **{"If-None-Match": tag})[0] == 200
    for refused in ("identity", "gzip;q=0", "gzip; q=0.000", "br"):
        assert fetched(url, **{"Accept-Encoding": refused})[2] == plain


def test_all_that_a_visit_loads_is_small(daemon: Daemon) -> None:
    """120 KB; what is loaded is what the page and its modules name."""
    waiting, seen = ["/", "/web/icon.svg"], dict[str, int]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        status, _, body = fetched(address(daemon) + path, **{"Accept-Encoding": "gzip"})
        assert status == 200, path
        seen[path] = len(body)
        text = gzip.decompress(body).decode()
        waiting += re.findall(r'(?:src|href)(?:=|: )"(/web/[^"]+)"', text)
        named = re.findall(r'(?:from |import\()"\./([^"]+)"', text)
        waiting += [f"/web/{name}" for name in named]
    assert "/web/vendor/uPlot.iife.min.js" in seen
    assert len(seen) > 15
    assert sum(seen.values()) <= 120_000, seen


@pytest.mark.slow
def test_an_operator_sees_values_finds_one_and_sets_one(daemon: Daemon, tmp_path: Path) -> None:
    """Each view without an error of the page or of its security policy."""
    with Browser(tmp_path / "browser") as browser, browser.open(address(daemon) + "/") as page:
        row = "document.querySelector('[data-topic=\"plant/temperature\"]')"
        page.until(f"{row}?.querySelector('.value').textContent.includes('°C')")
        before = page.eval(f"{row}.querySelector('.value').textContent")
        page.until(f"{row}.querySelector('.value').textContent !== {json.dumps(before)}")
        assert page.eval("document.querySelector('#link').textContent") == "live"
        page.eval(
            "document.querySelector('input[type=search]').value = 'setpoint';"
            "document.querySelector('input[type=search]').dispatchEvent(new Event('input'))"
        )
        page.until("document.querySelectorAll('.row').length === 1")
        page.eval("location.hash = '#act'")
        page.until("document.querySelector('.card form')")
        page.eval(
            "document.querySelector('.card input').value = '42.5';"
            "document.querySelector('.card form').requestSubmit()"
        )
        page.until("document.querySelector('.outcome').textContent.startsWith('done')")
        page.until("document.querySelector('.card .soft').textContent.includes('42.5')")
        page.eval("location.hash = '#devices'")
        page.until("document.querySelector('.state.up')")
        page.eval("location.hash = '#people'")
        page.until("document.querySelector('tbody tr')")
        assert page.errors == []


@pytest.mark.slow
def test_the_values_stand_still_while_they_are_paused(daemon: Daemon, tmp_path: Path) -> None:
    """Also while somebody searches; then they are those of the present."""
    with Browser(tmp_path / "browser") as browser, browser.open(address(daemon) + "/") as page:
        value = "document.querySelector('[data-topic=\"plant/temperature\"] .value')?.textContent"
        pause = "document.querySelector('main .bar button')"
        page.until(f"{value}?.includes('°C')")
        page.eval(f"{pause}.click()")
        before = page.eval(value)
        page.eval(
            "document.querySelector('input[type=search]').value = 'temp';"
            "document.querySelector('input[type=search]').dispatchEvent(new Event('input'))"
        )
        page.until("document.querySelectorAll('.row').length === 1")
        page.eval("new Promise((done) => setTimeout(done, 2500))")
        assert page.eval(value) == before
        page.eval(f"{pause}.click()")
        page.until(f"{value} !== {json.dumps(before)}")
        assert page.errors == []


ALARM = """
[alarms.high]
topic = "plant/setpoint"
above = 60
priority = "high"
text = "open the bypass"
"""


@pytest.mark.slow
def test_an_alarm_is_seen_acknowledged_and_shelved(tmp_path: Path) -> None:
    """Its number stands beside the view's name, and a note goes with what somebody does."""
    with (
        Daemon(tmp_path, PLANT.format(folder=tmp_path) + ALARM) as daemon,
        Browser(tmp_path / "browser") as browser,
        browser.open(address(daemon) + "/#alarms") as page,
    ):
        link = "document.querySelector('#views [href=\"#alarms\"]').textContent"
        card = "document.querySelector('.card[aria-label=high]')"
        page.until(f"{card}?.dataset.state === 'normal'")
        assert page.eval(link) == "Alarms"
        assert sensord("set", "plant/setpoint", "70", "--url", daemon.url).returncode == 0
        page.until(f"{card}.dataset.state === 'raised'")
        page.until(f"{link} === 'Alarms 1'")
        assert "too high: 70" in page.eval(f"{card}.textContent")
        page.eval(f"{card}.querySelector('input').value = 'on my way'")
        page.eval(f"{card}.querySelector('button.primary').click()")
        page.until(f"{card}.dataset.state === 'acknowledged'")
        page.until(f"{card}.textContent.includes('on my way')")
        assert page.eval(link) == "Alarms"
        page.eval(f"{card}.querySelector('button:not(.primary)').click()")
        page.until(f"{card}.textContent.includes('shelved until')")
        page.eval(f"{card}.querySelector('button:last-of-type').click()")
        page.until(f"!{card}.textContent.includes('shelved until')")
        assert page.errors == []


@pytest.mark.slow
def test_a_chart_runs_on_after_a_restart(daemon: Daemon, tmp_path: Path) -> None:
    """And is drawn from summaries where it is long."""
    with (
        Browser(tmp_path / "browser") as browser,
        browser.open(address(daemon) + "/#topic/plant%2Ftemperature") as page,
    ):
        page.until("document.querySelector('.chart canvas')")
        page.until("document.querySelector('.big').textContent.includes('°C')")
        daemon.kill()
        page.until("document.querySelector('#link').dataset.state === 'down'")
        daemon.start()
        page.until("document.querySelector('#link').dataset.state === 'up'")
        shown = page.eval("document.querySelector('.big').textContent")
        page.until(f"document.querySelector('.big').textContent !== {json.dumps(shown)}")
        page.eval("location.hash = '#topic/plant%2Ftemperature~6h'")
        page.until("document.querySelectorAll('.u-series').length === 4")
        assert page.errors == []


LEDGER = """
(async () => {
  const { Sensord } = await import("/web/client.js");
  window.ledger = []; window.gaps = [];
  window.client = new Sensord(`ws://${location.host}/v1`, { name: "ledger" });
  client.subscribe(["plant/temperature"], (item) => {
    if (item.op === "reading" && item.age === null && item.quality === "good")
      ledger.push([item.time_us, item.value]);
    if (item.op === "gap") gaps.push([item.reason, item.count]);
  }, { from: "-1h" });
  await client.ready;
})()
"""


@pytest.mark.slow
def test_nothing_is_missing_or_double_though_the_daemon_is_killed(
    daemon: Daemon, tmp_path: Path
) -> None:
    """The page's own ledger is compared with the journal; what a kill lost is named in a gap."""
    with Browser(tmp_path / "browser") as browser, browser.open(address(daemon) + "/") as page:
        page.until("document.querySelector('.row')")
        page.eval(LEDGER)
        for _ in range(3):
            count = page.eval("ledger.length")
            page.until(f"ledger.length > {count + 20}")
            daemon.kill()
            daemon.start()
            page.until("client.state === 'up'")
        count = page.eval("ledger.length")
        page.until(f"ledger.length > {count + 20}")
        ledger = [tuple(one) for one in page.eval("ledger")]
        gaps = page.eval("gaps")
    done = sensord("history", "plant/temperature", "--from", "-1h", "--json", "--url", daemon.url)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    held = {
        (row["time_us"], row["value"])
        for row in rows
        if row.get("quality") == "good" and "restated_us" not in row
    }
    assert len(set(ledger)) == len(ledger), "none came twice"
    last = max(time for time, _ in ledger)
    missing = {one for one in held if one[0] <= last} - set(ledger)
    assert not missing, "all that the journal has was received"
    assert {reason for reason, _ in gaps} <= {"missing"}
    assert len(gaps) >= 1


PROGRAM = """
import {{ Sensord }} from "{module}";
const client = new Sensord("{url}", {{ name: "node" }});
const seen = [];
for await (const item of client.readings(["plant/temperature"])) {{
  if (item.op !== "reading") continue;
  seen.push([item.topic, item.channel.unit, typeof item.value]);
  if (seen.length === 3) break;
}}
const outcome = await client.set("plant/setpoint", 33);
const topics = await client.collect("topics", {{ topics: ["plant/#"] }});
const refusal = await client.set("plant/temperature", 1).catch((error) => error.code);
console.log(JSON.stringify({{ seen, status: outcome.status, refusal,
  topics: topics.flatMap(({{ rows }}) => rows.map(({{ topic }}) => topic)).sort() }}));
client.close();
"""


@pytest.mark.slow
def test_the_client_works_in_node(daemon: Daemon, tmp_path: Path) -> None:
    """Readings, a command, a listing, a refusal."""
    module = Path(__file__).parents[2] / "sensord" / "web" / "client.js"
    copy = tmp_path / "client.mjs"
    copy.write_text(module.read_text())
    program = tmp_path / "program.mjs"
    program.write_text(PROGRAM.format(module=copy.as_uri(), url=daemon.url + "/v1"))
    done = subprocess.run(
        [*node(), str(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seen"] == [["plant/temperature", "Cel", "number"]] * 3
    assert found["status"] == "done"
    assert found["refusal"] in {"not_found", "forbidden"}
    assert found["topics"] == ["plant/setpoint", "plant/temperature"]
