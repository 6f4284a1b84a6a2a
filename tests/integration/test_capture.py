"""`sensord capture`: what a real line or broker delivers, and its replay."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensord.client import Client
from sensord.recordings.capture import Arrival, Capture, CaptureFile, Event, Message, Piece
from tests.kit.broker import Broker, Publisher
from tests.kit.capture import readings_of
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, in_thread, on_uvloop, sensord
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.replay import ReplayProcess

BOILER = """
[devices.boiler]
reader = "serial"
port = "{port}"
decoder = "json"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
"""

ASKED = (
    BOILER + 'poll = {{ command = "?", interval = "20ms", timeout = "20ms", answer_end = "!" }}\n'
)
"""The next poll shows that the answer to the one before was taken."""

PLANT = """
[devices.plant]
reader = "mqtt"
host = "{host}"
port = {port}
{more}
topics = [{{ filter = "plant/+/state", topic = "{{1}}/{{field}}" }}]
decoder = "json"
publish = {{ policy = "every" }}
"""


class Capturing:
    """`sensord capture` at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def until_said(self, text: str) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text in line:
                return
        raise AssertionError(f"never said {text!r}")

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        self._process.send_signal(number)
        return self.end()

    def end(self) -> tuple[int, str]:
        """Return the exit status and what was said since."""
        _, said = self._process.communicate(timeout=20)
        return self._process.returncode, said


@contextmanager
def capturing(config: Path, device: str, output: Path, *arguments: str) -> Iterator[Capturing]:
    command = [*SENSORD, "capture", device, "--config", str(config), "-o", str(output), *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Capturing(process)
        finally:
            if process.poll() is None:
                process.kill()
            if process.stderr is not None and not process.stderr.closed:
                print(process.stderr.read(), file=sys.stderr)  # noqa: T201  # pytest shows it


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def whats(path: Path, kind: type) -> list[object]:
    arrivals = [one for one in CaptureFile(path).arrivals() if isinstance(one, Arrival)]
    return [one.what for one in arrivals if isinstance(one.what, kind)]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def line(i: int) -> bytes:
    return json.dumps({"t": i / 4, "on": i % 2 == 0}).encode() + b"\r\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_every_byte_of_a_line_is_stored(tmp_path: Path, number: signal.Signals) -> None:
    """With garbage, and the unplugging in between; the interrupt leaves a whole file."""
    output = tmp_path / "x.mcap"
    config = written(tmp_path, ASKED.format(port=tmp_path / "port"))
    answers = [
        b"".join(map(line, range(20))) + b"!",
        b"\xff\x00garbage\xfe\n" + line(20) + b'{"t": 9',
        line(21) + b"!",
    ]

    def answer(data: bytes) -> None:
        assert port.read(1) == b"?"
        assert port.feed(data) == len(data)

    with FakePort(tmp_path / "port") as port, capturing(config, "boiler", output) as running:
        running.until_said("boiler is up")
        answer(answers[0])
        answer(answers[1])
        assert port.read(2) == b"??"  # two: one may have been on its way already
        port.unplug()
        running.until_said("boiler is down: unplugged")
        port.plug()
        running.until_said("boiler is up")
        answer(answers[2])
        assert port.read(2) == b"??"
        status, said = running.interrupt(number)
    assert status == 0
    pieces = [one.data for one in whats(output, Piece) if isinstance(one, Piece)]
    assert b"".join(pieces) == b"".join(answers)
    events = [one.kind for one in whats(output, Event) if isinstance(one, Event)]
    assert events[0] == "up"
    assert events[-1] == "end"
    assert events.count("up") == 2
    assert f"{output}: {len(b''.join(answers))} bytes in " in said
    values = [row.value for row in readings_of(Capture(output)) if row.topic == "plant/t"]
    # The "!" spoils the first line behind it; then come the death, and the birth.
    assert values == [repr(i / 4) for i in (*range(21), 20, 21)]
    assert {path.name for path in tmp_path.iterdir()} >= {"config.toml", "x.mcap"}
    assert not list(tmp_path.glob(".*"))


def test_every_message_is_stored_with_its_topic(tmp_path: Path, broker: Broker) -> None:
    """And decoded by its route; the broker does not take it for the daemon that runs."""
    output = tmp_path / "x.mcap"
    more = 'client_id = "gateway"\nsession_expiry = "1h"'
    text = PLANT.format(host=broker.host, port=broker.port, more=more)
    folder = tmp_path / "daemon"
    folder.mkdir()
    with Daemon(folder, text) as daemon:
        daemon.wait_for_log("device is up")
        config = written(tmp_path, text)
        with capturing(config, "plant", output, "--bytes", "300") as running:
            running.until_said("plant is up")
            with Publisher(broker) as publisher:
                for i in range(40):
                    publisher.publish(f"plant/{'ab'[i % 2]}/state", b'{"v": %d}' % i, b"oops")
            status, said = running.end()
        assert not any("device is down" in line for line in daemon.log)
    assert status == 0
    size = re.search(r"(\d+) bytes in ", said)
    assert size is not None
    assert int(size[1]) >= 300
    messages = [one for one in whats(output, Message) if isinstance(one, Message)]
    assert [one.payload for one in messages[:4]] == [b'{"v": 0}', b"oops", b'{"v": 1}', b"oops"]
    assert [one.route.source for one in messages[:4]] == ["plant/a/state"] * 2 + [
        "plant/b/state"
    ] * 2
    found = readings_of(Capture(output))
    assert [row.topic for row in found[:4]] == ["a/v", "b/v", "a/v", "b/v"]
    told = sensord("info", str(output))
    assert "raw capture of plant (mqtt, json)" in told.stdout
    assert re.search(r"note      \d+ times ", told.stdout)


@on_uvloop()
async def test_a_capture_is_replayed_to_monitors(tmp_path: Path) -> None:
    """As the live device was told to them; and by another configuration, otherwise."""
    output = tmp_path / "x.mcap"
    config = written(tmp_path, BOILER.format(port=tmp_path / "port"))
    stream = b"".join(map(line, range(30)))
    with (
        FakePort(tmp_path / "port") as port,
        capturing(config, "boiler", output, "--bytes", str(len(stream))) as running,
    ):
        await in_thread(running.until_said, "boiler is up")
        port.feed(stream)
        assert (await in_thread(running.end))[0] == 0
    expected = readings_of(Capture(output))
    assert len(expected) == 60
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace("plant/", "cellar/"))
    common = (str(output), "--speed", "max")
    for more, tree in (((), "plant"), (("--config", str(other), "--device", "boiler"), "cellar")):
        with ReplayProcess(*common, *more) as replay:
            async with Client(replay.url) as client:
                heard = Follower(client.subscribe(f"{tree}/#", start=0))
                await heard.count(60)
        assert [u.topic for u in heard.updates] == [
            row.topic.replace("plant", tree) for row in expected
        ]
        assert [(u.reading.time_us, repr(u.reading.value)) for u in heard.updates] == [
            (row.time_us, row.value) for row in expected
        ]
    exports = [await in_thread(sensord, "export", str(output)) for _ in range(2)]
    assert exports[0].stdout == exports[1].stdout
    assert exports[0].stdout.count("\n") == 61


def test_a_device_that_never_comes_is_a_capture_too(tmp_path: Path) -> None:
    """Of when it was not there; status 1, for it holds nothing of the device."""
    output = tmp_path / "x.mcap"
    config = written(tmp_path, BOILER.format(port="/dev/nowhere"))
    arguments = ("--config", str(config), "-o", str(output), "--for", "200ms")
    done = sensord("capture", "boiler", *arguments)
    assert done.returncode == 1
    assert "boiler is down: no such port: /dev/nowhere: plug the device in" in done.stderr
    events = [one.reason for one in whats(output, Event) if isinstance(one, Event)]
    assert events[0] == "no such port"
    assert events[-1] == ""


def test_what_cannot_be_captured_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    """An unknown device, a name that is taken, a folder that is missing."""
    config = written(tmp_path, BOILER.format(port="/dev/nowhere"))
    (tmp_path / "old.mcap").write_text("old")
    new = str(tmp_path / "x.mcap")
    given = ("--config", str(config), "--for", "1ms")
    asked = [
        (("boat", "-o", new, *given), 1, "no device boat; known are boiler"),
        (("boiler", "-o", str(tmp_path / "old.mcap"), *given), 1, "already exists"),
        (("boiler", "-o", str(tmp_path / "new.csv"), *given), 1, "the format is MCAP"),
        (("boiler", "-o", str(tmp_path / "no" / "x"), *given), 1, "No such file or directory"),
        (("boiler", "-o", new, "--config", str(tmp_path / "no.toml")), 1, "cannot be read"),
        (("boiler", "-o", new, "--bytes", "many"), 2, "expected a size such as 64KiB"),
    ]
    for arguments, status, text in asked:
        done = sensord("capture", *arguments)
        assert done.returncode == status, done.stderr
        assert text in done.stderr
    done = sensord("replay", new, "--device", "boiler")
    assert "--config and --device require each other" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"old.mcap", "config.toml"}
