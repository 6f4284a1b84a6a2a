"""Datagrams become readings; a sender that falls silent is away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sensord.device.reader import Route
from sensord.errors import DeviceError
from sensord.readers import udp
from sensord.readers.contract import RecordedLink
from sensord.readers.udp import Config, Reader
from tests.integration.readers.test_template import free_udp_port
from tests.kit.daemon import Daemon, sensord
from tests.kit.loops import on_each_loop
from tests.unit.decode.streams import config_faults


class Link(RecordedLink):
    """One that keeps routes, details and availability."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: list[Route] = []
        self.details: list[str] = []
        self.away: list[tuple[str, bool]] = []

    def message(self, route: Route, payload: bytes) -> None:
        self.routes.append(route)
        super().message(route, payload)

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        self.details.append(detail)
        super().fault(reason, detail, device=device)

    def availability(self, name: str, *, is_there: bool) -> None:
        self.away.append((name, is_there))
        self._changed.set()


def send(port: int, *payloads: bytes, source: str = "127.0.0.1", to: str = "127.0.0.1") -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        device.bind((source, 0))
        for payload in payloads:
            device.sendto(payload, (to, port))


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[tuple[int, Link]]:
    port, link = free_udp_port(), Link()
    options = {"host": "127.0.0.1"} | options
    task = asyncio.ensure_future(Reader(Config(port, **options)).run(link))
    await link.until(lambda link: link.opened_times, "opened")
    try:
        yield port, link
    finally:
        task.cancel()
        await asyncio.wait((task,))


def payloads(link: RecordedLink, wanted: Iterable[bytes]) -> bool:
    return link.payloads == list(wanted)


@on_each_loop
async def test_lines_of_a_datagram_are_messages() -> None:
    """A chart plotter sends several sentences at a time."""
    async with running() as (port, link):
        send(port, b"$A\r\n$B\r\n\r\n", b"$C")
        await link.until(lambda link: payloads(link, [b"$A", b"$B", b"$C"]), "three lines")


@on_each_loop
async def test_a_datagram_may_be_one_message() -> None:
    """Binary data and JSON have line ends anywhere."""
    async with running(lines=False) as (port, link):
        send(port, b'{\n"a": 1}', b"\x00\n\x01")
        await link.until(lambda link: payloads(link, [b'{\n"a": 1}', b"\x00\n\x01"]), "both")


@on_each_loop
async def test_each_sender_is_a_source() -> None:
    """Its address is what patterns get."""
    async with running(host="0.0.0.0") as (port, link):  # from several addresses
        for source in ("127.0.0.2", "127.0.0.3"):
            send(port, b"x", source=source)
        await link.until(lambda link: len(link.payloads) == 2, "both")
    assert {(route.source, route.captures) for route in link.routes} == {
        ("127.0.0.2", ("127.0.0.2",)),
        ("127.0.0.3", ("127.0.0.3",)),
    }


@on_each_loop
async def test_others_than_those_allowed_are_refused_once() -> None:
    """A datagram has no proof of who sent it; a list is better than nothing."""
    async with running(host="0.0.0.0", allow=("127.0.0.2", "10.0.0.0/8")) as (
        port,
        link,
    ):  # the same
        send(port, b"no", b"no", source="127.0.0.3")
        send(port, b"yes", source="127.0.0.2")
        await link.until(lambda link: payloads(link, [b"yes"]), "the one that is allowed")
    assert (link.faults, link.details) == (["sender not allowed"], ["127.0.0.3"])


@on_each_loop
async def test_a_flood_of_senders_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses can be made up."""
    monkeypatch.setattr(udp, "MOST_SENDERS", 3)
    async with running(host="0.0.0.0") as (port, link):  # the same
        for number in range(2, 9):
            send(port, b"x", source=f"127.0.0.{number}")
        await link.until(lambda link: len(link.faults) == 3, "faults, each once, bounded too")
        assert len(link.payloads) == 3
        send(port, b"y", source="127.0.0.2")
        await link.until(lambda link: len(link.payloads) == 4, "a known one is served on")
    assert set(link.faults) == {"too many senders"}


@on_each_loop
async def test_a_silent_sender_is_away_until_it_sends_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exactly its channels turn bad."""
    monkeypatch.setattr(udp, "LOOK_S", 0.02)
    async with running(silence=0.1) as (port, link):
        send(port, b"x")
        await link.until(lambda _: link.away, "away")
        assert link.faults == ["silent"]
        send(port, b"y")
        await link.until(lambda link: payloads(link, [b"x", b"y"]), "it sends again")
    assert link.away[:2] == [("127.0.0.1", False), ("127.0.0.1", True)]


@on_each_loop
async def test_a_group_is_joined() -> None:
    """What is sent to it comes, over the interface of the address."""
    async with running(group="239.255.7.7") as (port, link):
        assert link.opened_times == 1
        send(port, b"x", to="239.255.7.7")
        await link.until(lambda link: payloads(link, [b"x"]), "a datagram to the group")


@on_each_loop
async def test_a_port_that_another_program_has_is_named() -> None:
    """The detail says how to find that program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        reader = Reader(Config(other.getsockname()[1], "127.0.0.1"))
        with pytest.raises(DeviceError, match=r"cannot listen: .*ss -ulnp"):
            await reader.run(Link())


def test_wrong_options_are_named() -> None:
    """With what is expected."""
    table = {"port": 1, "host": "here", "group": "10.0.0.1", "allow": ["192.168.1.7/24"]}
    found = " ".join(config_faults(Config, table))
    for text in ("host", "multicast address", "expected an address or a network"):
        assert text in found
    assert "both be IPv4" in " ".join(
        config_faults(Config, {"port": 1, "host": "::", "group": "239.0.0.1"})
    )


def test_nmea_over_udp_is_read_by_a_daemon(tmp_path: Any) -> None:
    """From a datagram to a value, with its sender as the device."""
    port = free_udp_port()
    text = f"""
    [devices.boat]
    reader = "udp"
    port = {port}
    host = "127.0.0.1"
    decoder = "nmea0183"
    """
    with Daemon(tmp_path, text) as daemon:
        daemon.wait_for_log("device is up")
        send(port, b"$SDDPT,8.4,0.3*58\r\n$INMTW,17.9,C*1B\r\n")
        found = ""
        while "17.9" not in found:
            found = sensord("get", "boat/#", "--url", daemon.url).stdout
        assert "8.4" in found
