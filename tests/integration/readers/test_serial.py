"""The serial reader on ptys, sockets and a terminal server: real bytes through real drivers."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial
from serial import serialposix

from sensord.device.backoff import LOCAL
from sensord.errors import DeviceError
from sensord.readers import rhythm
from sensord.readers import serial as serial_reader
from sensord.readers.line import Settings
from sensord.readers.requests import Step
from sensord.readers.serial import Config, Poll, Reader, Request
from tests.kit.broker import free_port, needed
from tests.kit.capture import device_of
from tests.kit.fakeport import FakePort
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop
from tests.kit.running import open_descriptors, running, supervised
from tests.kit.server import serving

LINES = b"".join(b"T=%d.%d RH=%d\r\n" % (20 + i % 9, i % 10, 40 + i % 20) for i in range(100))


async def failure(reader: Reader) -> DeviceError:
    """Run a reader that must fail, and return how."""
    with pytest.raises(DeviceError) as caught:
        await reader.run(RecordingLink())
    return caught.value


@on_each_loop
async def test_bytes_are_handed_on_as_they_came(port: FakePort) -> None:
    """A paced stream of lines arrives whole, and the link was told first."""
    async with running(Reader(Config(str(port.path), baud=115200))) as link:
        assert link.details == [f"{port.path} at 115200"]
        await asyncio.to_thread(port.feed, LINES, 115200)
        await link.until(lambda link: len(link.stream) >= len(LINES))
    assert link.stream == LINES


@on_each_loop
async def test_every_byte_value_passes(port: FakePort) -> None:
    """Nothing on the way takes a byte for a control character."""
    data = bytes(range(256)) * 8
    async with running(Reader(Config(str(port.path)))) as link:
        port.feed(data, chunk=len(data))
        await link.until(lambda link: len(link.stream) >= len(data))
    assert link.stream == data


@on_each_loop
async def test_an_unplugged_port_ends_the_run(port: FakePort) -> None:
    """A hang-up is an error at once, on both loops."""
    reader = Reader(Config(str(port.path)))
    link = RecordingLink()
    task = asyncio.ensure_future(reader.run(link))
    await link.until(lambda link: link.details)
    port.feed(b"last words")
    await link.until(lambda link: link.stream)
    port.unplug()
    with pytest.raises(DeviceError, match="unplugged"):
        await task


@on_each_loop
async def test_a_port_that_comes_back_under_another_number_is_found(port: FakePort) -> None:
    """Ten times unplugged and plugged in; no descriptor is left behind."""
    async with supervised(Reader(Config(str(port.path)))) as (link, watch):
        await watch.until(lambda watch: watch.count("up") == 1)
        before = open_descriptors()
        numbers = {port.device}
        for round_ in range(10):
            port.unplug()
            await watch.until(lambda watch, n=round_: watch.count("down") > n)  # type: ignore[misc]  # bound now
            port.plug()
            numbers.add(port.device)
            await watch.until(lambda watch, n=round_: watch.count("up") > n + 1)  # type: ignore[misc]  # as above
            port.feed(b"%d\n" % round_)
            await link.until(lambda link, n=round_: len(link.stream) == 2 * (n + 1))  # type: ignore[misc]  # as above
        assert link.stream == b"".join(b"%d\n" % round_ for round_ in range(10))
        assert len(numbers) > 1
        # Descriptors that the port itself holds to make the numbers change.
        assert open_descriptors() - len(port._held) <= before


@on_each_loop
async def test_a_missing_port_costs_next_to_nothing(port: FakePort) -> None:
    """While a port is away the loop sleeps between looks."""
    async with supervised(Reader(Config(str(port.path)))) as (_link, watch):
        await watch.until(lambda watch: watch.count("up"))
        port.unplug()
        await watch.until(lambda watch: watch.count("down"))
        began, used = time.monotonic(), time.process_time()
        await watch.until(lambda watch: watch.count("down") >= 11)
        used = time.process_time() - used
        assert time.monotonic() - began >= 10 * 0.02
        # 10 looks; a spinning loop would have used all of the time.
        assert used / 10 < 0.01
        assert watch.told[-1][:2] == ("down", "no such port") or watch.told[-1] == ("connecting",)


@on_each_loop
async def test_a_missing_port_is_said(tmp_path: Path) -> None:
    """The detail says what to do."""
    error = await failure(Reader(Config(str(tmp_path / "ttyUSB9"))))
    assert error.reason == "no such port"
    assert "plug" in error.detail


@on_each_loop
async def test_a_missing_adapter_is_said() -> None:
    """Looked for by what it is, it is missing like one looked for by its path."""
    error = await failure(Reader(Config("hwgrep://no adapter is called this")))
    assert error.reason == "no such port"


@on_each_loop
async def test_a_file_is_not_a_port(tmp_path: Path) -> None:
    """A path that is no terminal is told apart from a missing one."""
    (tmp_path / "file").touch()
    error = await failure(Reader(Config(str(tmp_path / "file"))))
    assert error.reason == "not a serial port"


@on_each_loop
async def test_a_port_that_another_holds_is_busy(port: FakePort) -> None:
    """Two readers of one port would each get half of the bytes."""
    with serial.Serial(str(port.path), exclusive=True):
        error = await failure(Reader(Config(str(port.path))))
    assert error.reason == "port is busy"


@on_each_loop
async def test_a_port_may_be_shared_on_demand(port: FakePort) -> None:
    """With exclusive = false a second program may listen too."""
    with serial.Serial(str(port.path)):
        async with running(Reader(Config(str(port.path), exclusive=False))) as link:
            assert link.details


def test_a_forbidden_port_says_which_group(port: FakePort) -> None:
    """The most frequent of all beginners' errors is answered with its cure."""
    port.device.chmod(0)
    # Root may open everything, so a process of its own becomes nobody.
    script = (
        "import os; from sensord.readers.line import *; from sensord.errors import DeviceError\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        f"try: open_line({Config(str(port.device)).settings()!r})\n"
        "except DeviceError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("permission denied")
    assert "dialout" in said


@on_each_loop
async def test_a_silent_port_is_given_up(port: FakePort) -> None:
    """It is open, but nothing came within the stall time."""
    link = RecordingLink()
    task = asyncio.ensure_future(Reader(Config(str(port.path), stall=0.05)).run(link))
    with pytest.raises(DeviceError, match="silent"):
        await task
    assert link.details


@on_each_loop
async def test_a_talking_port_is_not_given_up(port: FakePort) -> None:
    """Every arrival starts the stall time anew."""
    stall_s = 2.0
    async with supervised(Reader(Config(str(port.path), stall=stall_s))) as (link, watch):
        await watch.until(lambda watch: watch.count("up"))
        began = time.monotonic()
        await asyncio.to_thread(port.feed, b"x" * 170, 400, 1)  # a byte every 25 ms
        await link.until(lambda link: len(link.stream) == 170)
        assert time.monotonic() - began > 2 * stall_s
        assert watch.count("down") == 0
        await watch.until(lambda watch: watch.count("down"))
        assert watch.told[-1][1] == "silent"


@on_each_loop
async def test_a_port_is_not_silent_whose_bytes_could_not_be_read(port: FakePort) -> None:
    """The process stood still for longer than the stall time, and they came meanwhile."""
    async with supervised(Reader(Config(str(port.path), stall=0.2))) as (link, watch):
        await watch.until(lambda watch: watch.count("up"))
        port.feed(b"x")
        time.sleep(0.3)  # noqa: ASYNC251  # this is what the test is about
        await link.until(lambda link: link.stream)
        assert watch.count("down") == 0


@on_each_loop
async def test_nothing_is_lost_where_a_silent_port_is_opened_again(port: FakePort) -> None:
    """What the device says just then, before, between and after, is read."""
    given = Config(str(port.path), stall=0.05)
    async with supervised(Reader(given), limits=LOCAL) as (link, watch):
        await watch.until(lambda watch: watch.count("up"))
        sent = b""
        for round_ in range(20):
            downs = watch.count("down")
            line = b"%d\n" % round_
            port.feed(line)
            await watch.until(lambda watch, n=downs: watch.count("down") > n)  # type: ignore[misc]  # bound now
            between = b"%d between\n" % round_
            port.feed(between)
            sent += line + between
            await link.until(lambda link: len(link.stream) >= len(sent))  # noqa: B023  # awaited here
        assert link.stream == sent
        assert {told[1] for told in watch.told if told[0] == "down"} == {"silent"}
        assert set(watch.retries_s) == {0.0}


@on_each_loop
async def test_a_slow_device_is_heard_by_its_rhythm(
    port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silence of several periods ends the run, and no pause between two messages does."""
    monkeypatch.setattr(rhythm, "FIRST_S", 0.8)
    monkeypatch.setattr(rhythm, "SHORTEST_S", 0.1)
    monkeypatch.setattr(rhythm, "MIN_PAUSE_S", 0.02)
    async with supervised(Reader(Config(str(port.path)))) as (link, watch):
        await watch.until(lambda watch: watch.count("up"))
        for count in range(1, 9):
            await asyncio.sleep(0.2)  # its period, twice as long as the shortest silence
            port.feed(b"x")
            await link.until(lambda link, n=count: len(link.stream) == n)  # type: ignore[misc]  # bound now
        assert watch.count("down") == 0
        await watch.until(lambda watch: watch.count("down"))
        (down,) = (told for told in watch.told if told[0] == "down")
        assert down[1] == "silent"
        assert "it speaks every" in down[2]


@on_each_loop
async def test_a_line_that_never_spoke_is_reported_before_it_is_given_up(
    port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may be wiring it; the port stays open, for the device may speak seldom."""
    monkeypatch.setattr(serial_reader, "SHORTEST_S", 0.05)
    async with running(Reader(Config(str(port.path)))) as link:
        await link.until(lambda link: link.faults)
        ((reason, detail),) = link.faults
        assert reason == "nothing received"
        assert "baud rate" in detail
        port.feed(b"x")
        await link.until(lambda link: link.stream)


class ModemLines:
    """Notes what is done to the modem lines, which a pty does not have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        monkeypatch.setattr(serialposix.Serial, "_update_dtr_state", self._noting("dtr"))
        monkeypatch.setattr(serialposix.Serial, "_update_rts_state", self._noting("rts"))
        real = termios.tcsetattr

        def tcsetattr(fd: int, when: int, attributes: list[Any]) -> None:
            if (attributes[2] ^ termios.tcgetattr(fd)[2]) & termios.HUPCL:
                self.told.append("drop" if attributes[2] & termios.HUPCL else "keep")
            real(fd, when, attributes)

        monkeypatch.setattr("sensord.readers.line.termios.tcsetattr", tcsetattr)

    def _noting(self, name: str) -> Callable[[serialposix.Serial], None]:
        return lambda port: self.told.append(f"{name} {getattr(port, name)}")


@on_each_loop
@pytest.mark.parametrize(
    ("options", "opened", "closed"),
    [
        ({}, ["dtr True", "rts True"], []),
        ({"dtr": False}, ["dtr False", "rts True"], ["keep"]),
        ({"dtr": True, "rts": False}, ["dtr True", "rts False"], ["keep"]),
    ],
)
async def test_modem_lines_are_set_as_declared_and_left_so(
    port: FakePort,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, bool],
    opened: list[str],
    closed: list[str],
) -> None:
    """A line that is lowered and raised resets many boards: once declared, closing leaves it."""
    drop_at_close(port)
    lines = ModemLines(monkeypatch)
    async with running(Reader(Config(str(port.path), **options))):  # type: ignore[arg-type]  # tests know the types
        assert [told for told in lines.told if told[:3] in {"dtr", "rts"}] == opened
        lines.told.clear()
    assert lines.told == closed


def drop_at_close(port: FakePort) -> None:
    """Have the terminal behave as a real one does: it lowers its lines when it is closed."""
    fd = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
    attributes = termios.tcgetattr(fd)
    attributes[2] |= termios.HUPCL
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    os.close(fd)


@on_each_loop
async def test_a_board_is_reset_only_if_opening_again_did_not_help(
    port: FakePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first time the modem lines stay as they are; the second time they are lowered."""
    drop_at_close(port)
    lines = ModemLines(monkeypatch)
    async with supervised(Reader(Config(str(port.path), stall=0.05))) as (_link, watch):
        await watch.until(lambda watch: watch.count("up"))
        port.feed(b"x")
        await watch.until(lambda watch: watch.count("down") == 2)
    kept = [told for told in lines.told if told in {"keep", "drop"}]
    assert kept[:2] == ["keep", "drop"]


def polled(port: FakePort, **options: object) -> Reader:
    poll = Poll(**{"command": "T?\r\n", "interval": 0.05, "timeout": 0.05, **options})  # type: ignore[arg-type]  # tests know the types
    return Reader(Config(str(port.path), poll=poll))


@on_each_loop
async def test_a_polled_device_answers(port: FakePort) -> None:
    """Each poll is sent whole, and its answer handed on."""
    async with running(polled(port, interval=2, timeout=2)) as link:
        for count in range(1, 3):
            assert await asyncio.to_thread(port.read, 4) == b"T?\r\n"
            port.feed(b"21.5\r\n", chunk=2)
            await link.until(lambda link, n=count: len(link.stream) == 6 * n)  # type: ignore[misc]  # bound now
    assert link.stream == b"21.5\r\n" * 2
    assert link.faults == []


@on_each_loop
async def test_polls_keep_their_interval(port: FakePort) -> None:
    """The time an answer takes is not added to the interval."""
    times: list[float] = []

    def answer() -> None:
        for _ in range(4):
            assert port.read(4) == b"T?\r\n"
            times.append(time.monotonic())
            time.sleep(0.4)  # the device's own slowness
            port.feed(b"21.5\n")

    async with running(polled(port, interval=0.5, timeout=0.5)):
        await asyncio.to_thread(answer)
    waits = [after - before for before, after in itertools.pairwise(times)]
    # A busy machine delays some; were the answer's time added, none would be so short.
    assert min(waits) < 0.8
    assert sum(waits) / len(waits) > 0.4


@on_each_loop
async def test_a_device_that_does_not_answer_is_given_up_in_the_end(port: FakePort) -> None:
    """Each unanswered poll is a fault; after the configured number the line is opened anew."""
    link = RecordingLink()
    task = asyncio.ensure_future(polled(port, retries_before_reopen=3).run(link))
    with pytest.raises(DeviceError, match="no answer"):
        await task
    assert [reason for reason, _ in link.faults] == ["no answer"] * 3
    assert port.read(12) == b"T?\r\n" * 3


@on_each_loop
async def test_half_an_answer_is_a_fault_of_its_own(port: FakePort) -> None:
    """Bytes came, but not their end."""
    async with running(polled(port, interval=0.3, timeout=0.3, retries_before_reopen=0)) as link:
        for count in itertools.count(1):
            await asyncio.to_thread(port.read, 4)
            port.feed(b"21.")
            await link.until(lambda link, n=count: len(link.faults) >= n)  # type: ignore[misc]  # bound now
            # On a busy machine it comes when nobody waits for it any more; then once again.
            if link.faults[-1][0] == "incomplete answer":
                break
            assert link.faults[-1][0] == "no answer"
    assert link.stream == b"21." * count


@on_each_loop
async def test_a_late_answer_is_handed_on(port: FakePort) -> None:
    """It missed its poll, but it is a reading."""
    async with running(polled(port, interval=10, timeout=0.02)) as link:
        await asyncio.to_thread(port.read, 4)
        await link.until(lambda link: link.faults)
        port.feed(b"21.5\n")
        await link.until(lambda link: link.stream)
    assert link.stream == b"21.5\n"
    assert [reason for reason, _ in link.faults] == ["no answer"]


@on_each_loop
async def test_a_binary_answer_is_complete_with_its_bytes(port: FakePort) -> None:
    """Without a line's end, the count of bytes tells."""
    async with running(
        polled(port, command="", command_hex="01 03", answer_bytes=3, interval=2, timeout=2)
    ) as link:
        for count in range(1, 3):
            assert await asyncio.to_thread(port.read, 2) == b"\x01\x03"
            port.feed(b"\x01\n\x00")
            await link.until(lambda link, n=count: len(link.stream) == 3 * n)  # type: ignore[misc]  # bound now
    assert link.faults == []


@on_each_loop
async def test_an_answer_ends_as_the_framing_says(port: FakePort) -> None:
    """A poll of frames without a line's end was never answered, and the port opened again."""
    frame = bytes.fromhex("FF 86 02 60 47 00 00 00 D1")
    table = {
        "reader": "serial",
        "port": str(port.path),
        "decoder": {"type": "binary", "fields": {"co2": {"at": 2, "type": "u16"}}},
        "framing": {"type": "binary", "start": "FF", "length": 9},
        "poll": {"command_hex": "ff 01", "interval": 2, "timeout": 2},
    }
    config = device_of(table).reader_config
    assert isinstance(config, Config)
    async with running(Reader(config)) as link:
        for count in range(1, 3):
            assert await asyncio.to_thread(port.read, 2) == b"\xff\x01"
            port.feed(frame, chunk=4)
            await link.until(lambda link, n=count: len(link.stream) == 9 * n)  # type: ignore[misc]  # bound now
    assert link.stream == frame * 2
    assert link.faults == []


@on_each_loop
async def test_a_port_unplugged_while_polled_ends_the_run(port: FakePort) -> None:
    """It is found by the hang-up, not by unanswered polls."""
    link = RecordingLink()
    task = asyncio.ensure_future(polled(port, interval=10, timeout=10).run(link))
    await link.until(lambda link: link.details)
    await asyncio.to_thread(port.read, 4)
    port.unplug()
    with pytest.raises(DeviceError, match="unplugged"):
        await task


@on_each_loop
async def test_a_device_that_takes_no_bytes_does_not_block(port: FakePort) -> None:
    """When the line's buffer is full a poll fails by its timeout, and closing is quick."""
    link = RecordingLink()
    reader = polled(port, command="x" * 65_000, retries_before_reopen=2)
    task = asyncio.ensure_future(reader.run(link))
    with pytest.raises(DeviceError, match="cannot send"):
        await task
    assert [reason for reason, _ in link.faults] == ["cannot send"] * 2


def asked(port: FakePort, *requests: Request, **options: Any) -> Reader:
    return Reader(Config(str(port.path), requests=requests, **options))


@on_each_loop
async def test_requests_take_turns(port: FakePort) -> None:
    """Each is sent at its interval, none while another waits for its answer."""
    reader = asked(
        port,
        Request(send="V?\n", interval=0.2, timeout=0.2, retries_before_reopen=0),
        Request(send="A?\n", interval=0.05, timeout=0.05, retries_before_reopen=0),
    )
    sent: list[bytes] = []
    async with running(reader) as link:
        while sent.count(b"V?\n") < 3:
            sent.append(await asyncio.to_thread(port.read, 3))
            port.feed(b"1\r\n")
            await link.until(lambda link: len(link.payloads) == len(sent))
    assert sent[:2] == [b"V?\n", b"A?\n"]
    assert set(sent) == {b"V?\n", b"A?\n"}
    assert sent.count(b"A?\n") > sent.count(b"V?\n")
    assert set(link.payloads) == {b"1"}
    routes = {(route.source, route.scope) for route, _ in link.messages}
    assert routes == {("request 1", 0), ("request 2", 1)}


@on_each_loop
async def test_one_silent_request_does_not_reopen_the_line(port: FakePort) -> None:
    """While something on the line answers, the line is not what is wrong."""
    reader = asked(
        port,
        Request(send="V?\n", interval=0.02, timeout=0.02, retries_before_reopen=3),
        Request(send="A?\n", interval=0.02, timeout=2, retries_before_reopen=3, then=(Step(),)),
    )
    async with running(reader) as link:
        while len(link.faults) < 8:
            sent = await asyncio.to_thread(port.read, 3)
            if sent == b"A?\n":
                port.feed(b"1\n2\n")
        assert {reason for reason, _ in link.faults} == {"no answer"}


@on_each_loop
async def test_an_answer_leads_to_the_next_request(port: FakePort) -> None:
    """SDI-12: the sensor announces a time and is ready before it is over."""
    measure = Request(
        send="0M!",
        interval=60,
        timeout=20,
        answer="^0(?P<seconds>[0-9]{3})(?P<count>[0-9])$",
        then=(Step(pause="{seconds}", until="0\r\n", send="0D0!", timeout=20),),
    )
    async with running(asked(port, measure)) as link:
        assert await asyncio.to_thread(port.read, 3) == b"0M!"
        port.feed(b"?\r\n06002\r\n")
        port.feed(b"0\r\n")  # a service request, ten minutes before the time is over
        assert await asyncio.to_thread(port.read, 4) == b"0D0!"
        port.feed(b"0+3.14-2.7\r\n")
        await link.until(lambda link: link.payloads)
        assert link.payloads == [b"0+3.14-2.7"]
        assert link.stream == b""
        assert link.faults == []


@on_each_loop
async def test_a_meter_is_read_at_the_rate_that_it_offers(port: FakePort) -> None:
    """IEC 62056-21 mode C: sign-on at 300 baud, data at the identified rate, then 300 again."""
    readout = Request(
        send="/?!\r\n",
        interval=0.2,
        timeout=20,
        answer="^/[A-Za-z]{3}(?P<speed>[0-6])",
        then=(Step(send="\x060{speed}0\r\n", baud="{speed}", answer_end="\x03", timeout=20),),
    )
    async with running(asked(port, readout, baud=300)) as link:
        for count in range(1, 3):
            assert await asyncio.to_thread(port.read, 5) == b"/?!\r\n"
            assert rate_of(port) == termios.B300
            port.feed(b"/LGZ4ZMD120\r\n")
            assert await asyncio.to_thread(port.read, 6) == b"\x06040\r\n"
            await asyncio.to_thread(rate_becomes, port, termios.B4800)
            port.feed(b"\x021.8.0(001.5*kWh)\r\n2.8.0(0*kWh)\r\n!\r\n\x03")
            await link.until(lambda link, n=count: len(link.payloads) == n)  # type: ignore[misc]  # bound now
        assert link.faults == []


def rate_becomes(port: FakePort, rate: int) -> None:
    """Wait until the port is set to a rate."""
    while rate_of(port) != rate:
        time.sleep(0.001)


def rate_of(port: FakePort) -> int:
    """Return the rate that the port is set to."""
    with port.device.open("rb", buffering=0) as terminal:
        return termios.tcgetattr(terminal)[4]  # type: ignore[no-any-return]  # typeshed's list is mixed


@on_each_loop
async def test_an_answer_that_is_none_is_quoted(port: FakePort) -> None:
    """The sequence ends there, and begins again at the next interval."""
    request = Request(
        send="M\n",
        interval=0.1,
        timeout=0.1,
        retries_before_reopen=0,
        answer="^OK",
        then=(Step(send="D\n"),),
    )
    async with running(asked(port, request)) as link:
        while not any("BUSY" in detail for _, detail in link.faults):
            assert await asyncio.to_thread(port.read, 2) == b"M\n"
            port.feed(b"BUSY\n")
            await asyncio.sleep(0)
    reasons = {reason for reason, detail in link.faults if "BUSY" in detail}
    assert reasons == {"unexpected answer"}


@on_each_loop
async def test_a_greeting_is_sent_before_anything_is_asked(port: FakePort) -> None:
    """Some devices speak only once they were greeted; a board that resets gets its time first."""
    request = Request(send="T?\n", interval=10, timeout=10)
    reader = asked(port, request, on_open="HELLO\r\n", on_open_delay=0.05)
    began = time.monotonic()
    async with running(reader):
        assert await asyncio.to_thread(port.read, 10) == b"HELLO\r\nT?\n"
        assert time.monotonic() - began >= 0.05


@on_each_loop
async def test_a_device_that_speaks_by_itself_is_greeted(port: FakePort) -> None:
    """Nothing is asked of it later."""
    async with running(Reader(Config(str(port.path), on_open_hex="b5 62 06"))) as link:
        assert await asyncio.to_thread(port.read, 3) == b"\xb5\x62\x06"
        port.feed(b"1\n")
        await link.until(lambda link: link.stream)


@on_each_loop
async def test_what_the_link_raises_ends_the_run(port: FakePort) -> None:
    """A fault of ours is not lost in a callback of the loop."""

    class Broken(RecordingLink):
        def data(self, data: bytes) -> None:
            raise ZeroDivisionError(data)

    link = Broken()
    task = asyncio.ensure_future(Reader(Config(str(port.path))).run(link))
    await link.until(lambda link: link.details)
    port.feed(b"x")
    with pytest.raises(ZeroDivisionError):
        await task


@on_each_loop
async def test_a_cancelled_reader_closes_its_port(port: FakePort) -> None:
    """Whether it was opening, reading or polling."""
    before = open_descriptors()
    chance = random.Random(1)
    for _ in range(30):
        link = RecordingLink()
        task = asyncio.ensure_future(polled(port, interval=0.1, timeout=0.1).run(link))
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
    await _threads_end()
    assert open_descriptors() <= before


async def _threads_end() -> None:
    """Wait for the readers' threads; one that opened for nobody is followed by one that closes."""
    names = ("open:", "close:", "read:")
    await asyncio.sleep(0)  # what has been opened meanwhile is delivered
    while threads := [one for one in threading.enumerate() if one.name.startswith(names)]:
        for thread in threads:
            await asyncio.to_thread(thread.join)


@on_each_loop
async def test_a_socket_is_read_like_a_port() -> None:
    """A terminal server in raw mode."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"T?\r\n"
        writer.write(LINES)
        await reader.read()

    async with serving(serve) as number:
        where = f"socket://127.0.0.1:{number}"
        poll = Poll(command="T?\r\n", interval=10, timeout=1)
        async with running(Reader(Config(where, poll=poll))) as link:
            await link.until(lambda link: len(link.stream) >= len(LINES))
    assert link.stream == LINES


@on_each_loop
async def test_a_socket_closed_by_its_server_ends_the_run() -> None:
    """The end of the stream is the loss of the connection."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye\n")

    async with serving(serve) as number:
        where = f"socket://127.0.0.1:{number}"
        link = RecordingLink()
        with pytest.raises(DeviceError, match="connection lost"):
            await Reader(Config(where)).run(link)
    assert link.stream == b"bye\n"


@on_each_loop
async def test_a_socket_reset_by_its_server_ends_the_run() -> None:
    """A server that crashes says no goodbye."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_once = struct.pack("ii", 1, 0)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async with serving(serve) as number:
        error = await failure(Reader(Config(f"socket://127.0.0.1:{number}")))
    assert error.reason == "connection lost"


@on_each_loop
async def test_a_refused_socket_is_said() -> None:
    """Nothing listens there."""
    error = await failure(Reader(Config(f"socket://127.0.0.1:{free_port()}")))
    assert error.reason == "connection refused"


@on_each_loop
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyserial's rfc2217 sets up a thread
async def test_a_refused_terminal_server_is_said() -> None:
    """Pyserial hides the error number in its context; it is found there."""
    error = await failure(Reader(Config(f"rfc2217://127.0.0.1:{free_port()}")))
    assert error.reason == "connection refused"


@on_each_loop
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pyserial's rfc2217 sets up a thread
async def test_a_terminal_server_is_read_by_a_thread(port: FakePort, tmp_path: Path) -> None:
    """Debian's ser2net over RFC 2217: bytes pass both ways, and its death ends the run."""
    server = TerminalServer(tmp_path, port.path)
    try:
        poll = Poll(command="T?\r\n", interval=20, timeout=5)
        where = f"rfc2217://127.0.0.1:{server.number}?ign_set_control"
        reader = Reader(Config(where, poll=poll))
        async with supervised(reader) as (link, watch):
            await watch.until(lambda watch: watch.count("up"))
            assert await asyncio.to_thread(port.read, 4) == b"T?\r\n"
            port.feed(LINES)
            await link.until(lambda link: len(link.stream) >= len(LINES))
            assert link.stream == LINES
            server.kill()
            await watch.until(lambda watch: watch.told[-1][:2] == ("down", "connection lost"))
        await _threads_end()
        names = [thread.name for thread in threading.enumerate()]
        assert not [name for name in names if "RFC 2217" in name or name.startswith("read:")]
    finally:
        server.kill()


class TerminalServer:
    """Debian's ser2net with one port; listens soon after it is made."""

    def __init__(self, folder: Path, port: Path) -> None:
        self.number = free_port()
        config = folder / "ser2net.yaml"
        config.write_text(
            "connection: &one\n"
            f"  accepter: telnet(rfc2217),tcp,127.0.0.1,{self.number}\n"
            f"  connector: serialdev,{port},9600n81,local\n"
        )
        command = [needed("ser2net", "ser2net"), "-n", "-d", "-c", str(config)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@on_each_loop
async def test_a_line_without_descriptor_stops_promptly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ends with the run, not at the next byte."""
    monkeypatch.setattr("sensord.readers.line.THREAD_TIMEOUT_S", 100.0)
    reader = Reader(Config("loop://"))
    began = time.monotonic()
    async with running(reader) as link:
        assert link.details
    assert time.monotonic() - began < 50
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read:")]


def test_settings_hold_what_the_line_needs() -> None:
    """Every option that concerns the line reaches it."""
    config = Config("/dev/x", 4800, 7, "even", 2, rtscts=True, xonxoff=True, exclusive=False)
    assert config.settings() == Settings(
        "/dev/x", 4800, 7, "even", 2, rtscts=True, xonxoff=True, exclusive=False
    )
