"""Packets wait in order, and are made when they are sent or when the client is congested."""

from __future__ import annotations

from collections.abc import Iterator

from sensord.server.open.outgoing import Outgoing
from sensord.wire.frames import JSON, Codec
from sensord.wire.ops.session import End
from tests.unit.server.monitors import payload_of


class Client:
    """Clogs after so many packets."""

    codec: Codec = JSON

    def __init__(self, takes: int) -> None:
        self.written: list[bytes] = []
        self.takes = takes

    @property
    def is_congested(self) -> bool:
        return len(self.written) >= self.takes

    def write(self, data: bytes, /) -> None:
        self.written.append(data)


def counted(made: list[int], numbers: range) -> Iterator[bytes]:
    """Make packets, and note when."""
    for number in numbers:
        made.append(number)
        yield b"%d" % number


def test_packets_are_made_when_they_are_sent() -> None:
    """No more than were asked for, none for a congested client; messages keep their place."""
    made: list[int] = []
    client = Client(takes=4)
    outgoing = Outgoing(client)
    outgoing.add(counted(made, range(3)))
    outgoing.message(End(1))
    outgoing.add(counted(made, range(3, 6)))
    outgoing.send(2)
    assert made == [0, 1]
    outgoing.send(9)
    assert made == [0, 1, 2]
    assert client.written[:3] == [b"0", b"1", b"2"]
    assert payload_of(client.written[3])[1] == b'{"op":"end","id":1}'
    assert outgoing
    client.takes = 99
    outgoing.send(9)
    assert client.written[4:] == [b"3", b"4", b"5"]
    assert not outgoing


def test_what_waits_can_be_made_at_once() -> None:
    """In the same order, and nothing twice; also in the middle of sending."""
    made: list[int] = []
    client = Client(takes=99)
    outgoing = Outgoing(client)
    outgoing.add(counted(made, range(4)))
    outgoing.add(counted(made, range(4, 6)))
    outgoing.send(1)
    outgoing.squeeze()
    assert made == [0, 1, 2, 3, 4, 5]
    outgoing.send(2)
    outgoing.squeeze()
    outgoing.send(9)
    assert client.written == [b"%d" % number for number in range(6)]
    assert not outgoing
    outgoing.squeeze()
    assert not outgoing
