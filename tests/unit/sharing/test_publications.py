"""Clients publish what is open for them, one client a topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sensord.bus import Bus
from sensord.config.tree import OpenTopic
from sensord.errors import ProtocolError
from sensord.log import Log
from sensord.model.readings import Kind, Level, Reading, Value, ValueType
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.publications import CHANNELS_PER_TOPIC, SAVE_S, Publishing
from tests.unit.manual import START_US, ManualClock, manual_loop
from tests.unit.manual_store import Disk, ManualStore

ANNA = Identity("a1", "Anna")
BERT = Identity("b2")

TOPICS = {
    "lab/total": OpenTopic(retain=True),
    "lab/+/temperature": OpenTopic(unit="Cel", decimals=1, range=(-40.0, 120.0)),
    "lab/#": OpenTopic(type=ValueType.STRING, kind=Kind.EVENT),
    "sums/count": OpenTopic(type=ValueType.INT),
}


class Hall:
    """Presence, as far as publishing needs it."""

    def __init__(self) -> None:
        self.on_gone: list[Callable[[Identity], None]] = []
        self.known: dict[str, Identity] = {}

    def find(self, client: str) -> Identity | None:
        return self.known.get(client)

    def gone(self, who: Identity) -> None:
        for call in self.on_gone:
            call(who)


class Desk:
    """Publishing over a bus."""

    def __init__(self, most: int = 10, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.bus = Bus(Log("e", 4096), ManualClock())
        self.hall = Hall()
        hall: Any = self.hall
        self.loop = manual_loop()
        self.store = ManualStore(self.disk, self.loop)
        audit = Audit(self.bus)
        self.publishing = Publishing(self.bus, audit, hall, self.store, self.loop, TOPICS, most)

    def publish(
        self, topic: str, value: Value, time_us: int | None = None, *, who: Identity = ANNA
    ) -> Reading:
        return self.publishing.publish(who, topic, value, time_us).reading

    def last(self, topic: str) -> Reading:
        channel = self.bus.find(topic)
        assert channel is not None
        record = self.bus.last(channel)
        assert record is not None
        return record.reading

    def refused(self, topic: str, value: Value = 1, **more: Any) -> ProtocolError:
        with pytest.raises(ProtocolError) as caught:
            self.publish(topic, value, **more)
        return caught.value

    def audited(self) -> list[Any]:
        return [
            (record.reading.value["subject"], record.reading.value["result"])
            for part in self.bus.log.read(0, self.bus.log.tail)
            for record in part
            if record.channel.topic == "$audit/publish" and isinstance(record.reading.value, dict)
        ]


def test_a_reading_is_one_like_any_other() -> None:
    """Typed and rounded as its channel, at the time given, or now."""
    desk = Desk()
    assert desk.publish("lab/bench/temperature", 21, 7) == Reading(7, 21.0)
    assert desk.publish("lab/bench/temperature", 21.66) == Reading(START_US, 21.7)
    channel = desk.bus.find("lab/bench/temperature")
    assert channel is not None
    assert (channel.metadata.unit, channel.metadata.device) == ("Cel", "Anna")
    assert desk.audited() == [("lab/bench/temperature", "begin")]


def test_the_first_filter_that_fits_counts() -> None:
    """As it stands in the configuration."""
    desk = Desk()
    desk.publish("lab/door", "open")
    channel = desk.bus.find("lab/door")
    assert channel is not None
    assert channel.is_event


def test_what_is_not_open_is_refused() -> None:
    """With what is."""
    refusal = Desk().refused("plant/boiler")
    assert refusal.code == "not_found"
    assert "sums/count" in refusal.message


@pytest.mark.parametrize("value", ["much", 120.1, -41, None, [1], float("nan")])
def test_a_value_that_does_not_fit_is_refused(value: Any) -> None:
    """It is told what would; nothing is published."""
    desk = Desk()
    refusal = desk.refused("lab/bench/temperature", value)
    assert refusal.code == "bad_request"
    assert "type float from -40 to 120" in refusal.message
    assert "type int" in desk.refused("sums/count", 1.5).message


def test_a_topic_has_one_publisher_until_it_is_gone() -> None:
    """Then it is bad, and somebody else's if he wants it; an event stays as it happened."""
    desk = Desk()
    desk.publish("lab/bench/temperature", 21.0)
    desk.publish("lab/door", "open")
    desk.publish("sums/count", 1, who=BERT)
    refusal = desk.refused("lab/bench/temperature", 22.0, who=BERT)
    assert (refusal.code, refusal.message[:4]) == ("held", "Anna")
    assert desk.refused("sums/count", 1).message.startswith("b2 ")
    desk.hall.gone(ANNA)
    last = desk.last("lab/bench/temperature")
    assert (last.value, last.quality.level, last.restates) == (21.0, Level.BAD, True)
    assert desk.last("lab/door").quality.level is Level.GOOD
    assert desk.last("sums/count").quality.level is Level.GOOD
    assert desk.publish("lab/bench/temperature", 23.0, who=BERT).value == 23.0
    assert desk.audited()[3:] == [
        ("lab/bench/temperature", "end"),
        ("lab/door", "end"),
        ("lab/bench/temperature", "begin"),
    ]


def test_a_device_s_topic_stays_the_device_s() -> None:
    """Also if a filter opens it."""
    desk = Desk()
    desk.bus.claim("lab/bench/temperature")
    assert desk.refused("lab/bench/temperature").code == "held"


def test_what_is_refused_takes_nothing() -> None:
    """Neither the topic nor a place among those that clients may publish."""
    desk = Desk(most=1)
    for number in range(3):
        desk.refused(f"lab/{number}/temperature", 200)
        assert desk.bus.find(f"lab/{number}/temperature") is None
    assert desk.publish("lab/q/temperature", 20, who=BERT).value == 20.0
    assert desk.audited() == [("lab/q/temperature", "begin")]


def test_a_value_stays_where_the_configuration_says_so() -> None:
    """For programs that publish it and end."""
    desk = Desk()
    desk.publish("lab/total", 5)
    desk.hall.gone(ANNA)
    assert desk.last("lab/total").quality.level is Level.GOOD
    assert desk.publish("lab/total", 6, who=BERT).value == 6.0


def test_names_of_publishers_are_bounded() -> None:
    """Each makes a channel, and channels stay."""
    desk = Desk(most=1)
    for number in range(CHANNELS_PER_TOPIC):
        who = Identity(f"c{number}", f"service {number}")
        desk.publish("sums/count", 1, who=who)
        desk.hall.gone(who)
    refusal = desk.refused("sums/count", 1)
    assert (refusal.code, "the same" in refusal.message) == ("too_many", True)
    assert desk.publish("sums/count", 2, who=Identity("c99", "service 3")).value == 2


def test_topics_are_bounded() -> None:
    """A filter with wildcards does not let clients fill the memory."""
    desk = Desk(most=2)
    desk.publish("lab/a", "x")
    desk.publish("lab/b", "x")
    assert desk.refused("lab/c", "x").code == "too_many"
    assert desk.publish("lab/a", "y").value == "y"


# -- a restart -------------------------------------------------------------------------------------


def restarted(desk: Desk, *present: Identity, most: int = 10) -> Desk:
    """Stop in order and start again without the journal; some clients are still known."""
    desk.publishing.close()
    desk.store.close()
    again = Desk(most, desk.disk)
    again.hall.known = {who.id: who for who in present}
    again.publishing.restore()
    return again


def test_after_a_restart_a_topic_still_has_its_publisher() -> None:
    """Its value stands, and nobody else may publish there."""
    desk = Desk()
    desk.publish("lab/a/temperature", 20)
    desk = restarted(desk, ANNA)
    assert desk.last("lab/a/temperature").value == 20
    assert desk.last("lab/a/temperature").restates
    assert desk.last("lab/a/temperature").quality.level is Level.GOOD
    assert desk.refused("lab/a/temperature", who=BERT).code == "held"
    desk.hall.gone(ANNA)
    assert desk.last("lab/a/temperature").quality.level is Level.BAD
    desk.publish("lab/a/temperature", 21, who=BERT)


def test_after_a_restart_a_topic_whose_publisher_is_gone_says_so() -> None:
    """Once: the next restart has nothing to add."""
    desk = Desk()
    desk.publish("lab/a/temperature", 20)
    desk = restarted(desk)
    assert desk.last("lab/a/temperature").quality.level is Level.BAD
    desk.publishing.close()
    desk.store.commit()
    assert desk.disk.kind("publication") == {}


def test_readings_are_saved_together_once_in_a_while() -> None:
    """Whoever publishes fast does not wear the disk out."""
    desk = Desk()
    for value in range(100):
        desk.publish("lab/a/temperature", value % 30)
    desk.store.commit()
    assert desk.disk.kind("publication")["lab/a/temperature"]["value"] == 0
    desk.loop.run_until(desk.loop.now + SAVE_S)
    desk.store.commit()
    assert desk.disk.kind("publication")["lab/a/temperature"]["value"] == 99 % 30
