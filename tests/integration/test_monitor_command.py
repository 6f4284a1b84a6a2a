"""`sensord monitor` in a terminal, before a real daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.kit.daemon import Daemon, sensord
from tests.kit.terminal import ENTER, ESCAPE, Terminal

CONFIG = """
[devices.weather]
reader = "simulated"
interval = "200ms"
topic = "weather/{field}"
signals.wind = { low = 2, high = 14, period = "40s" }
signals.humidity = { shape = "constant", low = 55 }
channels.wind = { unit = "m/s", decimals = 1 }
channels.humidity = { unit = "%", decimals = 2 }

[devices.absent]
reader = "serial"
port = "/dev/ttyAbsent"
topic = "absent/{field}"
decoder = "json"

[alarms.windy]
topic = "weather/wind"
above = 1
priority = "high"
text = "bring the awning in"
"""


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60)])
def test_values_devices_alarms_and_history_are_shown_and_acted_on(
    tmp_path: Path, columns: int, lines: int
) -> None:
    """The whole way of an operator, on a usual and on a large screen."""
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        Terminal(["monitor", "--url", daemon.url], columns, lines) as terminal,
    ):
        text = terminal.wait_for("weather/wind")
        terminal.wait_until(lambda text: "55.00 %" in text)
        assert len(text.splitlines()[0]) <= columns
        terminal.press("/humid")
        terminal.wait_until(lambda text: "weather/wind" not in text and "humidity" in text)
        terminal.press(ENTER + ESCAPE)
        terminal.wait_for("weather/wind")
        terminal.press("2")
        terminal.wait_until(lambda text: "no such port" in text)
        terminal.press("3")
        terminal.wait_for("raised")
        terminal.press("a")
        terminal.wait_for("acknowledge windy, note:")
        terminal.press(f"on my way{ENTER}")
        terminal.wait_until(lambda text: "acknowledged" in text and "raised" not in text)
        terminal.press("z")
        terminal.press(f"\x151h tests{ENTER}")
        terminal.wait_for("shelved")
        terminal.press("1")
        terminal.press(ENTER)
        terminal.wait_for("the last 10 min")
        terminal.wait_until(lambda text: "good" in text and "█" in text)
        terminal.press("q")
        assert terminal.wait() == 0
        done = sensord("alarms", "--json", "--url", daemon.url)
    (row,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert row["acknowledged"]["text"] == "on my way"
    assert row["shelved"]["text"] == "tests"


def test_the_screen_follows_the_size_of_the_terminal(tmp_path: Path) -> None:
    """From a usual one to a tiny one, and to a large one."""
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        Terminal(["monitor", "--url", daemon.url]) as terminal,
    ):
        terminal.wait_for("QUALITY")
        terminal.resize(20, 5)
        terminal.wait_until(lambda text: "[values]" in text and "ther/wind" in text)
        terminal.resize(200, 60)
        terminal.wait_until(lambda text: "LAST MINUTES" in text and "[1 values]" in text)
        terminal.press("q")
        assert terminal.wait() == 0


def test_a_lost_daemon_is_shown_and_its_return_too(tmp_path: Path) -> None:
    """Values are marked as old meanwhile."""
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        Terminal(["monitor", "--url", daemon.url]) as terminal,
    ):
        terminal.wait_for("good")
        daemon.kill()
        terminal.wait_until(lambda text: "connection lost" in text and "stale, no link" in text)
        daemon.start()
        terminal.wait_until(lambda text: "connection is back after" in text and "good" in text)
        terminal.press("q")
        assert terminal.wait() == 0


def test_without_colour_nothing_is_coloured_and_nothing_is_missing(tmp_path: Path) -> None:
    """NO_COLOR is obeyed; the words remain."""
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        Terminal(["monitor", "--url", daemon.url], environment={"NO_COLOR": "1"}) as terminal,
    ):
        terminal.wait_for("good")
        assert terminal.colours == {"default"}
        terminal.press("q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("term", ["dumb", "no-such-terminal"])
def test_a_terminal_that_cannot_place_text_gets_lines(tmp_path: Path, term: str) -> None:
    """Without any control character."""
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        Terminal(["monitor", "--url", daemon.url], environment={"TERM": term}) as terminal,
    ):
        terminal.wait_for("weather/wind")
        assert b"\x1b" not in terminal.written
        terminal.press("\x03")  # here the terminal makes the signal
        os.kill(terminal.pid, 2)
        assert terminal.wait() == 130


def test_an_output_that_is_no_terminal_is_refused_with_what_to_use() -> None:
    """A program wants other commands."""
    done = sensord("monitor")
    assert done.returncode == 2
    assert "use sensord tail" in done.stderr


def test_a_terminal_that_shows_ascii_only_gets_ascii(tmp_path: Path) -> None:
    """Shapes and sparklines have plain forms."""
    with (
        Daemon(tmp_path, CONFIG) as daemon,
        Terminal(["monitor", "--url", daemon.url], environment={"LC_ALL": "C"}) as terminal,
    ):
        terminal.wait_for("good")
        assert terminal.written.isascii()
        terminal.press("q")
        assert terminal.wait() == 0
