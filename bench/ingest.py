"""Ingest: what a reading costs until it stands in the log and in its group's next frame.

Three paths. From memory: publish policy, bus, log and group, frames included, in this process. From
a serial line: a CSV line of three values through framer, decoder and intake, in this process, and
through a real pty into the real daemon. From MQTT, QoS 0: the real daemon beside a bare paho-mqtt
loop whose callback only counts, both subscribed to one mosquitto at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import pty
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.peers import Mosquitto
from bench.processes import Sensord, cpu_s
from bench.publisher import mqtt_connect, mqtt_publish
from bench.report import Options, Report, Unavailable, main, median
from sensord.bus import Bus
from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.decode.base import Sample
from sensord.decode.framing import framer_of
from sensord.device.intake import DEVICE, Intake
from sensord.device.policy import Policy, Publisher
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import Metadata, Reading, Record
from sensord.readers import registry as readers
from sensord.server.live.group import Groups, Key
from sensord.wire.frames import MSGPACK
from sensord.wire.ops.subscriptions import Options as SubscriptionOptions

__all__ = ["measure"]

GOAL_US = 4.0
GOAL_SERIAL_US = 15.0
GOAL_MQTT = 1.4

TOPICS = 200
RING = 65_536

WARM_UP_S = 1.5
ARRIVAL_S = 30.0


class Sink:
    """A member of a group whose frames go nowhere."""

    client = None

    def write(self, data: bytes, /) -> None:
        """Take a frame."""

    def hold_back(self) -> None:
        """Not called: nobody reviews what it costs."""

    def release(self) -> None:
        """Not called: it is not held back."""

    def go_on(self) -> None:
        """Not called: it is not held back."""

    def boundary(self, records: Sequence[Record]) -> None:
        """Not called: it never waits."""


@dataclass(frozen=True, slots=True)
class Spine:
    """Bus, log and one live group with one member."""

    bus: Bus
    groups: Groups

    @classmethod
    def new(cls, loop: asyncio.AbstractEventLoop) -> Spine:
        """Build it."""
        bus = Bus(Log("bench", RING), SystemClock())
        groups = Groups(bus, loop)
        groups.enter(Key(MSGPACK, ("#",), SubscriptionOptions())).join(Sink())
        return cls(bus, groups)


async def policy_bus_group(policy: Policy, batches: int) -> float:
    """Return the CPU µs a reading: `TOPICS` at once, one frame for each such batch."""
    spine = Spine.new(asyncio.get_running_loop())
    bus = spine.bus
    pairs = [
        (bus.channel(f"load/value/{i}", Metadata(decimals=2)), Publisher(policy))
        for i in range(TOPICS)
    ]
    used = 0.0
    for batch in range(batches):
        now_us, wall_us = time.monotonic_ns() // 1000, time.time_ns() // 1000
        readings = [Reading(wall_us, (batch * 7 + i * 13) % 10_000 / 100) for i in range(TOPICS)]
        begun = time.process_time()
        due = []
        for (channel, publisher), reading in zip(pairs, readings, strict=True):
            offered = publisher.offer(now_us, reading)
            if offered is not None:
                due.append((channel, offered))
        bus.publish_all(due, wall_us)
        spine.groups.flush()
        used += time.process_time() - begun
        await asyncio.sleep(0)
    assert bus.log.tail == batches * TOPICS, "every reading must be published"
    return used * 1e6 / batches / TOPICS


def intake(bus: Bus, table: str) -> Intake:
    """Build the intake of a device from its part of a configuration."""
    text = f'[devices.load]\npublish = {{ policy = "every" }}\n{table}'
    [device] = parse(text, "bench", readers, decoders).devices
    decoder = None
    if device.decoder:
        found = decoders.find(device.decoder)
        assert found is not None
        decoder = found.create(device.decoder_config)
    return Intake(device, framer_of(device.framing), decoder, bus, lambda _fault: None)


async def samples(batches: int) -> float:
    """Return the CPU µs a reading from a sample on: checks and rounding come on top."""
    spine = Spine.new(asyncio.get_running_loop())
    device = intake(spine.bus, 'reader = "simulated"\nchannels."value*" = { decimals = 2 }')
    names = [f"value/{i}" for i in range(TOPICS)]
    used = 0.0
    for batch in range(batches):
        now_us, wall_us = time.monotonic_ns() // 1000, time.time_ns() // 1000
        values = [Sample(name, (batch * 7 + i * 13) % 10_000 / 100) for i, name in enumerate(names)]
        begun = time.process_time()
        device.samples(DEVICE, values, now_us, wall_us)
        spine.groups.flush()
        used += time.process_time() - begun
        await asyncio.sleep(0)
    return used * 1e6 / batches / TOPICS


FIELDS = '["temperature", "humidity", "pressure"]'

LINE_DECODERS = {
    "csv": (f'decoder = {{ type = "csv", fields = {FIELDS} }}', b"%.2f,%.1f,%.2f\r\n"),
    "key_value": (
        'decoder = "key_value"',
        b"temperature=%.2f;humidity=%.1f;pressure=%.2f\r\n",
    ),
    "json": (
        'decoder = "json"',
        b'{"temperature":%.2f,"humidity":%.1f,"pressure":%.2f}\r\n',
    ),
}


def serial_lines(table: str, form: bytes, count: int) -> float:
    """Return the CPU µs a reading: lines of three values, as the port gives them, to the log."""
    bus = Bus(Log("bench", RING), SystemClock())
    device = intake(bus, f'reader = "serial"\nport = "/dev/null"\n{table}')
    lines = [
        form % (20 + i % 977 / 100, 40 + i % 83 / 10, 1000 + i % 1999 / 100) for i in range(count)
    ]
    begun = time.process_time()
    for line in lines:
        device.data(line, time.monotonic_ns() // 1000, time.time_ns() // 1000)
    used = time.process_time() - begun
    assert bus.log.tail == 3 * count, "every value must be published"
    return used * 1e6 / count / 3


SERIAL = f"""
[devices.load]
reader = "serial"
port = "{{}}"
decoder = {{{{ type = "csv", fields = {FIELDS} }}}}
publish = {{{{ policy = "every" }}}}
"""


def through_pty(lines_per_s: float, seconds: float, folder: Path) -> float:
    """Return the CPU µs a reading of the real daemon that reads a line at a time from a pty."""
    device, port = pty.openpty()
    tty.setraw(port)
    with Sensord(SERIAL.format(os.ttyname(port)), folder) as daemon:
        send_lines(device, lines_per_s, min(WARM_UP_S, seconds))
        offset, before = daemon.offset(), cpu_s(daemon.pid)
        sent = send_lines(device, lines_per_s, seconds)
        deadline = time.monotonic() + ARRIVAL_S
        while (count := daemon.offset() - offset) < 3 * sent and time.monotonic() < deadline:
            time.sleep(0.05)
        used = cpu_s(daemon.pid) - before
    os.close(device)
    os.close(port)
    assert count >= 3 * sent, f"{3 * sent} values sent, {count} in the log"
    return used * 1e6 / count


def send_lines(device: int, lines_per_s: float, seconds: float) -> int:
    """Write lines at an even pace; return how many."""
    count = int(lines_per_s * seconds)
    begun = time.monotonic()
    for i in range(count):
        os.write(device, b"%.2f,%.1f,%.2f\r\n" % (20 + i % 977 / 100, 40.5, 1013.25))
        time.sleep(max(0.0, begun + (i + 1) / lines_per_s - time.monotonic()))
    return count


MQTT = """
[devices.load]
reader = "mqtt"
host = "127.0.0.1"
port = {}
decoder = "number"
publish = {{ policy = "every" }}
[[devices.load.topics]]
filter = "load/#"
topic = "plant/{{1}}"
"""


@contextmanager
def bare_paho(port: int) -> Iterator[subprocess.Popen[str]]:
    """Run the bare loop."""
    command = [sys.executable, "-m", "bench.paho", str(port), "load/#"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def counted(process: subprocess.Popen[str]) -> int:
    """Ask the bare loop how many messages it has had."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    if not select.select([process.stdout], [], [], 10.0)[0]:
        raise TimeoutError("the bare loop does not answer")
    return int(process.stdout.readline())


def publish(port: int, burst: int, interval_s: float, stop: threading.Event) -> None:
    """Publish ``burst`` numbers at once, every ``interval_s``."""
    with socket.create_connection(("127.0.0.1", port), 5.0) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(mqtt_connect("publisher"))
        connection.recv(4)
        due, turn = time.monotonic(), 0
        while not stop.is_set():
            first = turn * burst
            connection.sendall(
                b"".join(
                    mqtt_publish(f"load/value/{i % TOPICS}", b"%.2f" % (20 + i % 977 / 100))
                    for i in range(first, first + burst)
                )
            )
            turn += 1
            due += interval_s
            time.sleep(max(0.0, due - time.monotonic()))


def wait_until_both_receive(paho: subprocess.Popen[str], daemon: Sensord) -> None:
    """Return once both have subscribed."""
    deadline, others = time.monotonic() + 10.0, daemon.offset()
    while not (counted(paho) and daemon.offset() > others + TOPICS):
        if time.monotonic() > deadline:
            raise TimeoutError("paho and sensord do not both receive")
        time.sleep(0.05)


def mqtt(burst: int, interval_s: float, seconds: float, folder: Path) -> tuple[float, float]:
    """Return the CPU µs a message of the daemon and of the bare loop, which run side by side."""
    stop = threading.Event()
    with (
        Mosquitto(folder) as broker,
        bare_paho(broker.port) as paho,
        Sensord(MQTT.format(broker.port), folder) as daemon,
    ):
        arguments = (broker.port, burst, interval_s, stop)
        publishing = threading.Thread(target=publish, args=arguments, name="publisher")
        publishing.start()
        try:
            wait_until_both_receive(paho, daemon)
            time.sleep(min(WARM_UP_S, seconds))
            counts = counted(paho), daemon.offset()
            before = cpu_s(paho.pid), cpu_s(daemon.pid)
            time.sleep(seconds)
            used = cpu_s(paho.pid) - before[0], cpu_s(daemon.pid) - before[1]
            messages = counted(paho) - counts[0], daemon.offset() - counts[1]
        finally:
            stop.set()
            publishing.join()
    # The two are not asked in the same moment.
    assert min(messages) > 0.5 * max(messages), f"paho and sensord got {messages}"
    return used[1] * 1e6 / messages[1], used[0] * 1e6 / messages[0]


def measure(report: Report, options: Options) -> None:
    """Measure all paths."""
    # As the daemon does: see `sensord.app`.
    gc.set_threshold(50_000, 20, 50)
    in_process(report, options)
    seconds = options.more.seconds or (1.0 if options.brief else 5.0)
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as name:
        folder = Path(name)
        rate = 500.0
        value = median(through_pty(rate, seconds, folder) for _ in range(options.repeats))
        note = f"{rate:g} lines/s, one at a time, into the daemon; the kernel's work included"
        report.add("serial: line of 3 values through a pty", value, "µs", note=note)
        for label, burst, interval_s in (
            ("one at a time, 1,000/s", 1, 0.001),
            ("bursts of 100, 5,000/s", 100, 0.02),
        ):
            figure = f"MQTT QoS 0: {label}"
            try:
                found = [mqtt(burst, interval_s, seconds, folder) for _ in range(options.repeats)]
            except Unavailable as exc:
                report.missing(figure, "µs", exc, peer="bare paho-mqtt")
                continue
            report.add(
                figure,
                median(ours for ours, _ in found),
                "µs",
                goal=GOAL_MQTT,
                peer="bare paho-mqtt",
                peer_value=median(theirs for _, theirs in found),
                ratio=median(ours / theirs for ours, theirs in found),
                note="per message; the daemon decodes, publishes and logs, paho only counts",
            )


def in_process(report: Report, options: Options) -> None:
    """Measure what needs no device."""
    batches = 50 if options.brief else 1000
    repeats = options.repeats if options.brief else 2 * options.repeats + 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for name, policy in (("every", Policy(policy="every")), ("on_change", Policy())):
            found = [runner.run(policy_bus_group(policy, batches)) for _ in range(repeats)]
            note = "log and frame encoding included"
            report.add(
                f"policy ({name}) + bus + group", median(found), "µs", goal=GOAL_US, note=note
            )
        found = [runner.run(samples(batches)) for _ in range(repeats)]
        note = "the same and conform: type, range, rounding to 2 decimals"
        report.add("sample to frame", median(found), "µs", note=note)
    for name, (table, form) in LINE_DECODERS.items():
        found = [serial_lines(table, form, batches * 50) for _ in range(repeats)]
        report.add(
            f"serial: {name} line of 3 values, decode to log",
            median(found),
            "µs",
            goal=GOAL_SERIAL_US,
            note="per reading",
        )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--seconds", type=float, help="length of each window (default 5, brief 1)")


if __name__ == "__main__":
    sys.exit(main("ingest", str(__doc__).splitlines()[0], measure, configure))
