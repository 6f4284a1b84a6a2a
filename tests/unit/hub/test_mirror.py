"""A gateway's log in a hub's memory has the gateway's offsets."""

from __future__ import annotations

import pytest

from sensord.hub.arrivals import Arrival, Missing
from sensord.hub.mirror import Mirror, ReplacedError
from sensord.model.readings import Metadata, Reading
from tests.unit.manual import START_US, ManualClock


def arrival(offset: int, value: float = 1.0, *, epoch: str = "e1", topic: str = "a") -> Arrival:
    log_us = START_US + offset
    return Arrival(offset + 1, epoch, offset, log_us, topic, Metadata(), Reading(log_us, value))


def mirror(first: int = 0) -> Mirror:
    return Mirror("e1", first, 2048, ManualClock())


def offsets(made: Mirror, topic: str = "a") -> list[int]:
    channel = made.bus.find(topic)
    records = [one for part in made.log.read(0, made.log.tail) for one in part]
    return [one.offset for one in records if one.channel is channel]


def test_readings_are_at_their_offsets() -> None:
    """Also those behind offsets that the gateway does not send."""
    made = mirror(10)
    for offset in (10, 11, 15, 16):
        assert not made.add(arrival(offset))
    assert offsets(made) == [10, 11, 15, 16]
    assert (made.log.tail, made.sequence) == (17, 17)


def test_what_is_delivered_again_is_left_out() -> None:
    """An uplink that was rewound sends it twice."""
    made = mirror()
    for offset in (0, 1, 2, 1, 2, 3):
        made.add(arrival(offset))
    assert offsets(made) == [0, 1, 2, 3]


def test_a_gap_is_left_to_the_stream() -> None:
    """Cursors before it find it there; monitors resume."""
    made = mirror()
    made.add(arrival(0))
    assert made.add(Missing(2, "e1", 1, 9, "expired"))
    made.add(arrival(9))
    assert (made.log.first, offsets(made)) == (9, [9])
    assert not made.add(Missing(4, "e1", 1, 9, "expired")), "it is known already"


def test_a_leap_beyond_the_memory_costs_no_memory() -> None:
    """A gateway that sends one topic of thousands."""
    made = mirror()
    made.add(arrival(0))
    made.add(arrival(10**12))
    assert (made.log.first, made.log.tail) == (10**12, 10**12 + 1)


def test_another_epoch_continues_where_offsets_rise() -> None:
    """A position of the former one stays valid."""
    made = mirror()
    made.add(arrival(0))
    made.add(arrival(1, epoch="e2"))
    assert (made.log.epoch, made.log.epochs) == ("e2", {"e1", "e2"})


def test_another_log_replaces_it() -> None:
    """The gateway lost its journal: its offsets begin again."""
    made = mirror()
    made.add(arrival(0))
    made.add(arrival(1))
    with pytest.raises(ReplacedError):
        made.add(arrival(0, epoch="e2"))


def test_the_server_of_a_mirror_publishes_nothing() -> None:
    """Its sessions and clients would take the gateway's offsets."""
    made = mirror()
    channel = made.bus.channel("$sys/sessions/1", Metadata())
    made.bus.publish(channel, Reading(1, 1.0))
    made.bus.publish_all([(channel, Reading(1, 1.0))], 1)
    assert made.log.tail == 0


def test_last_values_older_than_the_memory_are_kept() -> None:
    """A topic that changes once a week is there for who connects."""
    made = mirror(1000)
    made.remember(arrival(3, 21.5, topic="slow"))
    channel = made.bus.find("slow")
    assert channel is not None
    record = made.bus.last(channel)
    assert record is not None
    assert (record.offset, record.reading.value) == (3, 21.5)
