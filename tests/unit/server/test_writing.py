"""Requests that write are answered once each, whatever their client asks meanwhile."""

from __future__ import annotations

from sensord.wire.frames import MSGPACK
from tests.unit.server.monitors import World


def test_a_change_on_its_way_to_the_disk_cannot_be_cancelled() -> None:
    """It is made, and answered as every request is."""
    world = World()
    monitor = world.connect(MSGPACK)
    put = monitor.request(op="put", topic="state/a", value=1)
    assert monitor.answers[put].result is None
    assert monitor.error(monitor.request(op="cancel", request=put)) == "not_found"
    world.loop.settle()
    answer = monitor.answers[put]
    assert answer.result is not None
    assert not answer.has_ended


def test_the_answer_waits_while_the_client_does_not_read() -> None:
    """The change does not."""
    world = World()
    monitor = world.connect(MSGPACK)
    put = monitor.request(op="put", topic="state/a", value=1)
    monitor.wire.clog()
    world.loop.settle()
    assert world.shared.sharing.state.find("state/a") is not None
    assert monitor.answers[put].result is None
    monitor.unclog()
    assert monitor.answers[put].result is not None
