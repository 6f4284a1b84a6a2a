"""A stretch of the past is sent little by little, between everything else."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.model.readings import Metadata
from sensord.wire.frames import MSGPACK
from tests.unit.server.monitors import EPOCH, World, payload_of

PAST: dict[str, Any] = {"topics": ["#"], "from": {"epoch": EPOCH, "offset": 0}}


class Client:
    """Notes what arrives in each turn of the loop."""

    def __init__(self, world: World) -> None:
        self.arrived: list[Any] = []
        self._world = world
        self._monitor = world.connect(MSGPACK)
        self._monitor.wire.write = self._write
        self._monitor.session.write = self._write
        self._number = 100

    def _write(self, data: bytes, /) -> None:
        self.arrived.append(MSGPACK.decode(payload_of(data)[1]))

    def ask(self, op: str, **fields: Any) -> int:
        """Send a request; return its id."""
        self._number += 1
        message = {"op": op, "id": self._number, **fields}
        self._monitor.session.received(MSGPACK.message(message), is_text=False)
        return self._number

    def turn(self) -> list[Any]:
        """Let the loop turn once; return what arrived in it."""
        self.arrived.clear()
        self._world.loop.turn()
        return [*self.arrived]

    def leave(self) -> None:
        self._monitor.leave()


@pytest.mark.parametrize("fields", [{}, {"interval": 0.1}, {"interval": 0.1, "follow": True}])
def test_a_turn_of_the_loop_sends_one_message_and_reads_one_piece(fields: Any) -> None:
    """So a small request is answered between two messages of a large one."""
    world = World(capacity=100_000)
    for _ in range(30_000):
        world.publish("a")
    client = Client(world)
    client.ask("history", **PAST, **fields)
    answered = 0
    while not world.loop.is_idle:
        assert len(client.turn()) <= 1
        answered += 1
        number = client.ask("ping")
        assert client.arrived[-1]["id"] == number
        assert "time_us" in client.arrived[-1]
    assert answered >= 15
    client.leave()


def test_what_is_listed_comes_in_parts() -> None:
    """A turn of the loop sends one of them."""
    world = World(capacity=1024)
    for i in range(2000):
        world.bus.channel(f"plant/{i}", Metadata())
    client = Client(world)
    client.ask("topics", topics=["plant/#"])
    parts = []
    while not world.loop.is_idle:
        arrived = client.turn()
        assert len(arrived) <= 1
        parts += [len(message["rows"]) for message in arrived if message["op"] == "rows"]
    assert parts == [256] * 7 + [208]
    client.leave()


def test_a_request_that_is_cancelled_reads_no_more() -> None:
    """Its end is the last that is heard of it."""
    world = World(capacity=100_000)
    for _ in range(30_000):
        world.publish("a")
    client = Client(world)
    number = client.ask("history", **PAST)
    for _ in range(3):
        client.turn()
    client.arrived.clear()
    client.ask("cancel", request=number)
    assert [message["op"] for message in client.arrived] == ["result", "end"]
    assert client.arrived[-1] == {"op": "end", "id": number}
    assert client.turn() == []
    assert world.loop.is_idle
    client.leave()


def test_who_follows_and_leaves_is_forgotten() -> None:
    """Nothing is left of it on the bus, nor in the loop."""
    world = World(capacity=1024)
    world.publish("a")
    client = Client(world)
    client.ask("history", **PAST, interval=0.1, follow=True)
    for op in ("topics", "devices", "clients"):
        client.ask(op, follow=True)
    world.loop.settle()
    client.leave()
    world.shared.sharing.close()
    world.publish("b/x")
    world.publish("a")
    assert world.loop.is_idle
    assert world.loop.next_timer is None
