"""What clients write stays within its share, and none of them takes it from the others."""

from __future__ import annotations

import base64
import hashlib
import json
import random

import pytest

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.log import Log
from sensord.model.readings import Kind, Metadata, Reading, Value, ValueType
from sensord.sharing.allowance import (
    ACT_BYTES,
    MINOR_BURST,
    PLAIN_BURST,
    PLAIN_RATE,
    STORE_BURST,
    Allowance,
    Bounds,
    Rank,
)
from sensord.sharing.audit import Audit, digested
from sensord.sharing.identity import Identity
from tests.unit.manual import ManualClock

BOUNDS = Bounds(burst_bytes=100_000, rate=10.0, per_reading=10.0)
DAY_S = 86_400.0


class Writers:
    """Clients that write as much as they may."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.now = 0.0
        self.bus = Bus(Log("e", 4096), ManualClock())
        self.allowance = Allowance(self.bus, lambda: self.now, bounds)
        self.is_plain_counted = False
        self._channel = self.bus.channel("state/a", Metadata(ValueType.JSON))
        self._rng = random.Random(1)

    def text(self, size: int) -> str:
        """Return a text that takes so many bytes, however it is compressed."""
        return base64.b64encode(self._rng.randbytes(size)).decode()

    def write(self, client: str, rank: Rank = Rank.VALUE, value: Value = None) -> None:
        value = self.text(1000) if value is None else value
        if rank is Rank.VALUE:
            self.allowance.admit_value(client, len(str(value)) if self.is_plain_counted else 0)
        else:
            self.allowance.admit(client, rank)
        self.allowance.publish(client, self._channel, Reading(0, value))

    def fill(self, client: str, rank: Rank = Rank.VALUE) -> int:
        """Write until it is refused; return how often it was not."""
        count = 0
        while self.allowance.has_room(client, rank):
            self.write(client, rank)
            count += 1
        with pytest.raises(ProtocolError, match="into the history"):
            self.write(client, rank)
        return count

    def fill_with(self, client: str, size: int) -> int:
        """Write texts that compress to nothing until one is refused; return their bytes."""
        written = 0
        try:
            while True:
                self.write(client, value="x" * size)
                written += size
        except ProtocolError as exc:
            assert "bytes/s of large values" in str(exc)  # noqa: PT017  # the loop is what is measured
        return written


def test_what_clients_write_is_within_the_share_over_the_longest_time() -> None:
    """However many they are and however fast."""
    bounds = Bounds.of_share(25, 64 << 20, DAY_S)
    writers = Writers(bounds)
    written = 0
    for _ in range(48):
        written += sum(writers.fill(client) for client in ("a", "b", "c", "d"))
        writers.now += DAY_S / 48
    assert 0.9 * (16 << 20) < written * 1000 < 1.05 * (16 << 20)


def test_one_client_leaves_half_to_the_others() -> None:
    """A script that runs away is refused before they are."""
    writers = Writers()
    assert 45 <= writers.fill("a") <= 50
    assert writers.fill("b") > 15


def test_values_leave_room_to_act() -> None:
    """Nobody can keep others from a valve by writing states."""
    writers = Writers()
    for client in ("a", "b", "c"):
        writers.fill(client)
    assert writers.fill("d", Rank.ACT) > 20


def test_it_fills_again_with_time_and_with_the_readings_of_devices() -> None:
    """In proportion: where devices write much, the journal reaches back less far."""
    writers = Writers()
    for client in ("a", "b"):
        writers.fill(client, Rank.ACT)
    writers.now += 500.0
    assert writers.fill("c") == 0  # a quarter is for acts
    device = writers.bus.channel("boiler/t", Metadata(ValueType.FLOAT))
    for value in range(5000):
        writers.bus.publish(device, Reading(0, float(value)))
    assert 20 <= writers.fill("c") <= 35


def test_what_repeats_costs_what_it_takes_in_the_journal() -> None:
    """The same state said again compresses to little."""
    writers = Writers()
    text = writers.text(1000)
    for _ in range(1000):
        writers.write("a", value=text)


def test_large_values_that_compress_well_have_a_rate_too() -> None:
    """They cost the journal next to nothing, and every monitor their full size."""
    writers = Writers(Bounds.of_share(25, 64 << 20, DAY_S))
    writers.is_plain_counted = True
    first, second, third = (writers.fill_with(client, 16_000) for client in "abc")
    assert 0.9 * PLAIN_BURST / 2 < first < 1.1 * PLAIN_BURST / 2
    assert second > 0.9 * first
    assert first + second + third < 1.1 * PLAIN_BURST
    writers.write("a", Rank.ACT, True)  # acting is not affected
    writers.now += 1
    assert writers.fill_with("d", 16_000) < 1.5 * PLAIN_RATE


def test_bodies_of_messages_have_a_rate_of_their_own() -> None:
    """They are no readings, but the disk is written."""
    writers = Writers(Bounds.of_share(25, 2 << 30, 30 * DAY_S))
    for _ in range(STORE_BURST // 2 // 16_000 + 1):
        writers.allowance.admit_body("a", 16_000)
    with pytest.raises(ProtocolError, match="bytes/s of messages"):
        writers.allowance.admit_body("a", 16_000)
    writers.allowance.admit_body("b", 16_000)


class Entries:
    """What the audit writes."""

    def __init__(self, bounds: Bounds) -> None:
        self.now = 0.0
        self.bus = Bus(Log("e", 4096), ManualClock())
        self.audit = Audit(self.bus, Allowance(self.bus, lambda: self.now, bounds))
        self.who = Identity("a" * 12, "ann", "host:1")

    def last(self, what: str) -> dict[str, Value]:
        channel = self.bus.channel(
            f"$audit/{what}",
            Metadata(ValueType.JSON, kind=Kind.EVENT, description="what clients did"),
        )
        record = self.bus.last(channel)
        assert record is not None
        assert isinstance(record.reading.value, dict)
        return record.reading.value


def test_a_large_value_stands_in_the_audit_as_its_digest() -> None:
    """Its own topic has it whole; beside it a change took three times its bytes."""
    entries = Entries(BOUNDS)
    value: Value = {"version": 7, "value": "x" * 16_000, "by": {"id": "b"}}
    entries.audit.note("state", entries.who, "state/a", "done", after=value)
    after = entries.last("state")["after"]
    assert isinstance(after, dict)
    assert after["version"] == 7
    assert after["by"] == {"id": "b"}
    text = json.dumps("x" * 16_000).encode()
    assert after["value"] == {"sha256": hashlib.sha256(text).hexdigest(), "bytes": 16_002}
    assert digested("x" * 1000) == "x" * 1000
    many: Value = {str(i): "x" * 100 for i in range(100)}
    found = digested(many)
    assert isinstance(found, dict)
    assert set(found) == {"sha256", "bytes"}


def test_refusals_are_counted_when_clients_write_too_much() -> None:
    """Whoever is refused all day fills no disk; what was done is recorded always."""
    entries = Entries(Bounds(burst_bytes=20_000, rate=10.0, per_reading=0.0))
    for number in range(2000):
        entries.audit.note("set", entries.who, f"v/{number}", "not_found", is_minor=True)
    recorded = entries.bus.log.tail
    assert recorded < 1000
    entries.audit.note("set", entries.who, "v/x", "done")
    assert entries.last("set")["unrecorded"] == 2000 - recorded
    entries.audit.note("set", entries.who, "v/x", "done")
    assert "unrecorded" not in entries.last("set")


def test_what_an_act_takes_is_what_check_counts_with() -> None:
    """Two entries of the audit, with a key that nothing compresses and the values that change."""
    writers = Writers()
    audit, loop = Audit(writers.bus, writers.allowance), Identity("a1b2c3", "loop", "10.0.0.7:5123")
    rng, before = random.Random(1), writers.allowance._history._left
    for number in range(1000):
        key = rng.randbytes(8).hex()
        for result in ("pending", "done"):
            audit.note("set", loop, "plant/valve", result, after=number * 0.37, key=key)
    each = (before - writers.allowance._history._left) / 1000
    assert each == pytest.approx(ACT_BYTES, rel=0.25)


def test_a_flood_of_refusals_is_counted_beyond_some_at_once() -> None:
    """Each was sent to every monitor of the audit: ten thousand a second."""
    entries = Entries(Bounds.of_share(25, 1 << 30, DAY_S))
    before = entries.bus.log.tail
    for _ in range(2 * MINOR_BURST):
        entries.audit.note("state", entries.who, "state/a", "too_many", is_minor=True)
    assert entries.bus.log.tail - before < MINOR_BURST
    entries.now += 60
    entries.audit.note("state", entries.who, "state/a", "too_many", is_minor=True)
    assert entries.last("state")["unrecorded"] == 2 * MINOR_BURST - (
        entries.bus.log.tail - before - 1
    )
