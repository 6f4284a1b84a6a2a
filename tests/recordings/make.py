"""Play a device, capture it with `sensord capture`, and write down the readings.

    python -m tests.recordings.make boiler-json/garbage-and-unplug

The readings are what sensord makes of the capture now: look at each before you commit them.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import reduce
from operator import xor
from pathlib import Path
from typing import NamedTuple

from sensord.log.journal import Batch
from sensord.recordings import EVERYTHING
from sensord.recordings.capture import Capture
from sensord.recordings.text_rows import json_lines_of
from tests.kit.broker import Broker, Publisher
from tests.kit.fakeport import FakePort

HERE = Path(__file__).parent
PORT = Path("/tmp/ttyUSB0")  # stands in the capture: no place that tells of a machine


class Running:
    """`sensord capture` at work."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def until_said(self, text: str) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            sys.stderr.write(f"  {line}")
            if text in line:
                return
        raise AssertionError(f"never said {text!r}")


@contextmanager
def capturing(folder: Path, device: str, config: str) -> Iterator[Running]:
    """Capture as long as the block lasts, and a moment longer for what is on its way."""
    file = folder / "config.toml"
    file.write_text(config)
    output = str(folder / "capture.mcap")
    command = [sys.executable, "-m", "sensord", "capture", device, "--config", str(file)]
    with subprocess.Popen([*command, "-o", output], stderr=subprocess.PIPE, text=True) as process:
        running = Running(process)
        running.until_said(f"{device} is up")
        yield running
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)


# -- the devices -----------------------------------------------------------------------------------


def sentence(body: str) -> bytes:
    return f"${body}*{reduce(xor, body.encode()):02X}\r\n".encode()


def gps(folder: Path) -> None:
    """A receiver that has a fix, loses it and finds it again."""
    config = f"""
[devices.gps]
reader = "serial"
port = "{PORT}"
baud = 4800
decoder = "nmea0183"
topic = "boat/{{field}}"
description = "satellite receiver"
publish = {{ policy = "every" }}
"""
    with FakePort(PORT) as port, capturing(folder, "gps", config):
        # We come in the middle of a sentence.
        port.feed(b"0.4,M,46.9,M,,*47\r\n", 4800)
        for second in range(8):
            at, has_fix = f"1235{19 + second:02}.00", second not in {3, 4}
            place = f"4807.{38 + second:03},N,01131.000,E" if has_fix else ",,,"
            moving = "022.4,084.4" if has_fix else ","
            status = "A" if has_fix else "V"
            parts = [
                sentence(f"GPRMC,{at},{status},{place},{moving},230394,003.1,W"),
                sentence(f"GPGGA,{at},{place},{int(has_fix)},08,0.9,545.4,M,46.9,M,,"),
                sentence("GPVTG,084.4,T,087.5,M,022.4,N,041.5,K") if has_fix else b"",
            ]
            if second == 5:
                parts[1] = parts[1].replace(b"545.4", b"945.4")  # a bit fell over on the line
            port.feed(b"".join(parts), 4800)


def weather(folder: Path) -> None:
    """A station that prints columns: a header, empty fields, a broken sensor, another separator."""
    config = f"""
[devices.weather]
reader = "serial"
port = "{PORT}"
topic = "garden/{{field}}"

[devices.weather.decoder]
type = "csv"
separator = ";"
skip_header = true
fields = ["", "temperature", "humidity", "wind"]

[devices.weather.publish]
deadband = 0.05
max_period = "1s"
stale_after = "2s"

[devices.weather.channels.temperature]
unit = "Cel"
decimals = 1
range = [-40, 60]

[devices.weather.channels.humidity]
unit = "%"
type = "int"

[devices.weather.channels.wind]
unit = "m/s"
scale = 0.1
decimals = 1
publish = {{ policy = "periodic", period = "500ms" }}
"""
    lines = [
        "time;temp;hum;wind",
        "12:00:00;21.5;40;31",
        "12:00:01;21.5;40;33",
        "12:00:02;21.6;;35",
        "12:00:03;-127.0;41;36",
        "12:00:04;21.7;41",
        "12:00:05;21.7;41;40",
        "12:00:06;21.7;41;41",
        "12:00:07;22,1;42;44",
        "12:00:08;22.1;42.5;47",
        "12:00:09;22.0;43;52",
    ]
    with FakePort(PORT) as port, capturing(folder, "weather", config):
        for line in lines:
            port.feed(line.encode() + b"\r\n", 9600)
            time.sleep(0.2)
        time.sleep(1.5)  # silent for long enough to be stale, with what the capture waits


def boiler(folder: Path) -> None:
    """A controller on a bad line: noise, half lines, the plug pulled, and back under another."""
    config = f"""
[devices.boiler]
reader = "serial"
port = "{PORT}"
decoder = "json"
topic = "plant/boiler/{{field}}"
framing = {{ max_bytes = 200, discard_first = true }}
publish = {{ deadband = 0.1, min_period = "200ms" }}

[devices.boiler.channels.temperature]
unit = "Cel"
decimals = 2
publish = {{ deadband = 0.25 }}

[devices.boiler.channels.alarm]
type = "string"
kind = "event"
"""

    def line(temperature: float, **more: object) -> bytes:
        told = {"temperature": temperature, "burner": temperature < 61, **more}
        return json.dumps(told).encode() + b"\n"

    with FakePort(PORT) as port, capturing(folder, "boiler", config) as running:
        port.feed(b'e": 60.1}\n' + line(60.1) + line(60.2), 9600)
        time.sleep(0.3)
        port.feed(b"\xff\xfe\x00\x80garbage\x9c\n" + line(60.6, alarm="pressure low"), 9600)
        port.feed(line(60.7, alarm="pressure low"), 9600)
        time.sleep(0.3)
        port.feed(b"U" * 300 + line(61.2) + line(61.3), 9600)
        port.feed(b'{"temperature": NaN, "burner": nul}\n{"temperature": "hot"}\n', 9600)
        port.feed(line(61.9) + b'{"temperature": 6', 9600)
        time.sleep(0.5)
        port.unplug()
        running.until_said("boiler is down")
        time.sleep(0.3)
        port.plug()
        running.until_said("boiler is up")
        port.feed(b'2.5}\n{"temperature": 99}\n' + line(62.5) + line(62.4), 9600)
        time.sleep(0.5)


def plant(folder: Path) -> None:
    """Devices behind a broker: several topics and forms, one retained value, one that is odd."""
    with Broker(folder) as broker, Publisher(broker) as publisher:
        config = f"""
[devices.plant]
reader = "mqtt"
host = "{broker.host}"
port = {broker.port}
decoder = "json"
publish = {{ policy = "every" }}

[[devices.plant.topics]]
filter = "plant/+/env/#"
topic = "{{1}}/{{2}}/{{field}}"

[[devices.plant.topics]]
filter = "plant/+/state"
topic = "{{1}}/state/{{field}}"
"""
        publisher.publish("plant/hall/state", b'{"online": true, "since": 17}', retain=True)
        with capturing(folder, "plant", config):
            for i in range(6):
                room = ("hall", "cellar")[i % 2]
                publisher.publish(f"plant/{room}/env/temperature", b"%.1f" % (20 + i / 2))
                publisher.publish(
                    f"plant/{room}/env/air/co2", b'{"ppm": %d, "ok": true}' % (400 + i)
                )
                publisher.publish("plant/attic/other", b"1")  # nobody asked for it
                time.sleep(0.15)
            publisher.publish("plant/cellar/env/air/co2", b"\x00\xff", b"")
            publisher.publish("plant/cellar/state", b'{"online": false, "since": 23}', retain=True)


CASES: dict[str, Callable[[Path], None]] = {
    "gps-nmea0183/fix-and-loss": gps,
    "weather-csv/broken-fields": weather,
    "boiler-json/garbage-and-unplug": boiler,
    "plant-mqtt/several-topics": plant,
}


class Made(NamedTuple):
    """What a capture makes."""

    readings: str
    faults: dict[str, int]


def made_of(capture: Capture) -> Made:
    """Decode a capture."""
    batches = [item for item in capture.scan(EVERYTHING) if isinstance(item, Batch)]
    lines = [json_lines_of(batch.records()) for batch in batches]
    return Made("".join(lines), dict(sorted(capture.faults().items())))


def main() -> None:
    """Play the cases that are named, or tell which there are."""
    for name in sys.argv[1:] or [f"which? {' '.join(CASES)}"]:
        if name not in CASES:
            raise SystemExit(name)
        sys.stderr.write(f"{name}\n")
        there = HERE / name
        there.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            CASES[name](Path(folder))
            (there / "capture.mcap").write_bytes((Path(folder) / "capture.mcap").read_bytes())
        made = made_of(Capture(there / "capture.mcap"))
        (there / "readings.jsonl").write_text(made.readings, encoding="utf-8")
        (there / "faults.json").write_text(json.dumps(made.faults, indent=2) + "\n")


if __name__ == "__main__":
    main()
