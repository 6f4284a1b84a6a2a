"""The template, which reads datagrams."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sensord.config.command_options import Argument, Command
from sensord.device.calls import Call
from sensord.device.commands import Order
from sensord.device.reader import Route
from sensord.errors import DeviceError
from sensord.readers.template import Config, Reader, Write
from sensord.sharing.identity import Identity
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop
from tests.kit.running import open_descriptors, running


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@on_each_loop
async def test_each_datagram_is_a_message() -> None:
    """Its route says where it was received; nothing is left open afterwards."""
    port = free_udp_port()
    before = open_descriptors()
    async with running(Reader(Config(port))) as link:
        assert link.details == [f"udp 127.0.0.1:{port}"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            for text in (b"T=21.5", b"T=21.6"):
                device.sendto(text, ("127.0.0.1", port))
        await link.until(lambda link: len(link.messages) == 2)
    assert link.messages == [(Route(f"127.0.0.1:{port}"), text) for text in (b"T=21.5", b"T=21.6")]
    await asyncio.sleep(0)  # the loop closes a socket in its next turn
    assert open_descriptors() <= before


@on_each_loop
async def test_a_command_is_a_datagram() -> None:
    """While it runs; before and after there is no connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        device.settimeout(10)
        how = Write("SET {value:.1f}", f"127.0.0.1:{device.getsockname()[1]}")
        command = Command("fan/speed", "speed", True, {"value": Argument()}, how)
        call = Call("fan/speed", {"value": 21.5}, Identity("a1"), "k", 10.0)
        order = Order(command, call, lambda: None)
        reader = Reader(Config(free_udp_port()))
        with pytest.raises(DeviceError, match="not connected"):
            await reader.write(order)
        states = [call.is_acting]
        async with running(reader):
            await reader.write(order)
            states.append(call.is_acting)
        assert states == [False, True]
        assert await asyncio.to_thread(device.recv, 100) == b"SET 21.5"
        call.failed("expired", "")
        async with running(reader):
            with pytest.raises(DeviceError, match="too late"):
                await reader.write(order)


@on_each_loop
async def test_a_port_that_another_program_has_is_said() -> None:
    """The detail says how to find that program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        reader = Reader(Config(other.getsockname()[1]))
        with pytest.raises(DeviceError, match=r"cannot listen: .*ss -ulnp"):
            await reader.run(RecordingLink())


@on_each_loop
async def test_what_the_link_raises_ends_the_run() -> None:
    """A fault of ours is not lost in a callback of the loop."""

    class Broken(RecordingLink):
        def message(self, route: Route, payload: bytes) -> None:
            raise ZeroDivisionError(route, payload)

    port, link = free_udp_port(), Broken()
    task = asyncio.ensure_future(Reader(Config(port)).run(link))
    await link.until(lambda link: link.details)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.sendto(b"x", ("127.0.0.1", port))
        with pytest.raises(ZeroDivisionError):
            await task
