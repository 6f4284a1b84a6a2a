"""The verdict on a running daemon: `sensord status`, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.kit.daemon import Daemon, sensord
from tests.kit.fakeport import FakePort

CONFIG = """
[journal]
folder = "{folder}/journal"

[devices.boiler]
reader = "serial"
port = "{folder}/ttyUSB0"
decoder = "json"
channels.temperature = {{ unit = "Cel" }}

[devices.pump]
reader = "serial"
port = "{folder}/ttyUSB9"
decoder = "json"
"""


def fetched(daemon: Daemon, path: str) -> tuple[int, str]:
    url = daemon.url.replace("ws://", "http://").removesuffix("/v1") + path
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def test_one_screen_says_what_is_wrong_and_the_exit_status_how_bad_it_is(tmp_path: Path) -> None:
    """1 while a device is away, 6 when none is there, 5 without a daemon."""
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon:
        with FakePort(tmp_path / "ttyUSB0"):
            daemon.wait_for_log("device is up")
            done = sensord("status", "--url", daemon.url)
            assert done.returncode == 1, done.stdout + done.stderr
            server, first, *_ = done.stdout.splitlines()
            assert server.startswith("sensord/")
            assert first.startswith("warning   device pump")
            assert "no such port" in first
            assert "1 of 2 up" in done.stdout
            assert fetched(daemon, "/readyz")[0] == 200
        daemon.wait_for_log("device is down device=boiler")
        done = sensord("status", "--json", "--url", daemon.url)
        found = json.loads(done.stdout)
        assert (done.returncode, found["status"]) == (6, "critical")
        assert found["findings"][0]["text"] == "none of 2 is up"
        status, body = fetched(daemon, "/readyz")
        assert (status, json.loads(body)["status"]) == (503, "not ready")
    done = sensord("status", "--url", daemon.url)
    assert done.returncode == 5
    assert done.stdout.startswith("critical  daemon")


def test_metrics_are_what_prometheus_expects(tmp_path: Path) -> None:
    """Its own tool reads them, if it is installed."""
    with (
        FakePort(tmp_path / "ttyUSB0") as port,
        Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon,
    ):
        daemon.wait_for_log("device is up")
        port.feed(b'{"temperature": 21.5}\n')
        while 'sensord_reading{topic="boiler/temperature"' not in (
            text := fetched(daemon, "/metrics?topics=%23")[1]
        ):
            pass
        assert 'sensord_reading{topic="boiler/temperature",unit="Cel",device="boiler"} 21.5' in text
        assert 'sensord_device_up{device="pump"} 0.0' in text
        values = {line.split()[0]: line.split()[1] for line in text.splitlines() if line[0] != "#"}
        assert float(values["sensord_readings_total"]) > 0
        assert float(values["process_cpu_seconds_total"]) > 0
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
