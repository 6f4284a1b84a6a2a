"""Publish derived channels: listen to their sources on the bus, and keep totals.

Theory of operation. What is pushed is only noted; the next turn of the loop works it out, because a
sink must not publish while the bus does. A window changes though nothing comes, so it is published
ten times a window, too. Of a total the store keeps what is added to the counter: it changes only
when the counter wraps or is reset, so keeping it writes nothing for a plain reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from sensord.bus import Bus
from sensord.config.derived import Derived
from sensord.device.derived import NO_UNIT, Derivation, Result, derived_unit
from sensord.model.readings import (
    Channel,
    Kind,
    Level,
    Metadata,
    Reading,
    Record,
    Value,
    ValueType,
)

__all__ = ["KIND", "Derivations"]

log = logging.getLogger("sensord.derived")

KIND = "derived"
"""The kind of rows in the store."""

SWITCHES = "$sys/sources/"
"""Where a change of the source is an event."""


class _Input:
    """One source of one derived channel, as a sink."""

    def __init__(self, owner: _Derived, index: int) -> None:
        self._owner = owner
        self._index = index

    def push(self, record: Record) -> None:
        """Note a reading for the next turn."""
        self._owner.noted.append((self._index, record))
        self._owner.wake()

    def selected(self, channel: Channel) -> None:
        """Accept a new channel of the topic."""


class _Derived:
    def __init__(self, topic: str, rules: Derived, wake: Callable[[], None]) -> None:
        self.topic = topic
        self.rules = rules
        self.wake = wake
        self.derivation = Derivation(rules)
        self.noted: list[tuple[int, Record]] = []
        self.metadata: list[Metadata | None] = [None, None]
        self.last: Reading | None = None
        self.inputs = [_Input(self, index) for index in range(len(rules.sources))]
        self.timer: asyncio.TimerHandle | None = None
        self.chosen: int | None = None
        self.is_begun = False


class Derivations:
    """All derived channels of a configuration."""

    def __init__(
        self,
        rules: Mapping[str, Derived],
        bus: Bus,
        loop: asyncio.AbstractEventLoop,
        kept: Mapping[str, Value],
        keep: Callable[[str, Value], None],
    ) -> None:
        """``kept`` are the rows of before the start; ``keep`` writes one."""
        self._bus = bus
        self._loop = loop
        self._kept = kept
        self._keep = keep
        self._all = [_Derived(topic, one, self._wake) for topic, one in rules.items()]
        self._turn: asyncio.Handle | None = None

    def begin(self) -> None:
        """Listen to the sources, with what is known of them."""
        self._begin(self._all)

    def change(self, rules: Mapping[str, Derived]) -> None:
        """Have other rules from now on; a channel whose rules stay does not notice."""
        stay = [one for one in self._all if rules.get(one.topic) == one.rules]
        known = {one.topic for one in stay}
        for one in self._all:
            if one not in stay:
                self._leave(one)
                if one.topic not in rules and self._bus.find(one.topic) is not None:
                    self._bus.forget(one.topic)
        new = [
            _Derived(topic, one, self._wake) for topic, one in rules.items() if topic not in known
        ]
        self._all = [*stay, *new]
        self._begin(new)

    def _leave(self, one: _Derived) -> None:
        if one.timer is not None:
            one.timer.cancel()
            one.timer = None
        if not one.is_begun:
            return
        for index, topic in enumerate(one.rules.sources):
            self._bus.detach([topic], one.inputs[index])
        self._bus.release(one.topic)

    def _begin(self, derived: Sequence[_Derived]) -> None:
        for one in derived:
            if not self._bus.claim(one.topic):
                log.error("a derived channel's topic is taken", extra={"topic": one.topic})
                continue
            one.is_begun = True
            kept_us = _restore(one, self._kept.get(one.topic))
            for index, topic in enumerate(one.rules.sources):
                self._bus.attach([topic], one.inputs[index])
                channel = self._bus.find(topic)
                last = None if channel is None else self._bus.last(channel)
                one.derivation.is_resumed = kept_us > 0 and last is None
                # A kill may have lost readings that the total has counted.
                if last is not None and last.reading.time_us >= kept_us:
                    one.inputs[index].push(last)

    def join(self, kept: Mapping[str, Value]) -> None:
        """Add the rows of before the start that came late."""
        self._kept = kept
        for one in self._all:
            row = _total(one, kept.get(one.topic)) if one.is_begun else None
            if row is None:
                continue
            one.derivation.join(row[0], row[1])
            now_us = self._bus.now_us()
            total: Value = {
                "offset": one.derivation.offset,
                "count": one.derivation.count,
                "at_us": row[2] if one.last is None else one.last.time_us,
            }
            self._keep(one.topic, total)
            self._publish(one, now_us, one.derivation.result(now_us))

    def feeds(self, channel: Channel) -> str:
        """Return how a derived channel feeds a topic, for people; empty if none does."""
        is_derived = any(one.topic == channel.topic for one in self._all)
        return "it is a derived channel of the configuration" if is_derived else ""

    def may_feed(self, _channel: Channel) -> str:
        """Return an empty text: all of them are known."""
        return ""

    def release(self, channel: Channel) -> None:
        """Do nothing: what none of them feeds, none of them holds."""

    def close(self) -> None:
        """Stop all timers."""
        if self._turn is not None:
            self._turn.cancel()
        for one in self._all:
            if one.timer is not None:
                one.timer.cancel()

    def _wake(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._work)

    def _work(self) -> None:
        self._turn = None
        for one in self._all:
            noted, one.noted = one.noted, []
            for index, record in noted:
                self._follow(one, index, record)
            if noted:
                self._plan(one)

    def _follow(self, one: _Derived, index: int, record: Record) -> None:
        one.metadata[index] = record.channel.metadata
        reading, before = record.reading, one.derivation.offset
        at_us = record.log_us if reading.restates else reading.time_us
        is_first = one.derivation.count is None
        at_us = one.derivation.push(index, reading, at_us, record.log_us)
        count = one.derivation.count
        if count is not None and (is_first or one.derivation.offset != before):
            row: Value = {"offset": one.derivation.offset, "count": count, "at_us": at_us}
            self._keep(one.topic, row)
        if one.rules.fallback is None:
            self._publish(one, at_us, one.derivation.result(at_us))
        else:
            self._choose(one, record.log_us, index)

    def _choose(self, one: _Derived, now_us: int, index: int | None = None) -> None:
        """Publish the best source's reading, if it is new or the best source has changed."""
        choice, before = one.derivation.choice(now_us), one.chosen
        if choice == before and (choice is None or index != choice):
            return
        at_us, result = one.derivation.chosen(choice)
        self._publish(one, at_us or now_us, result)
        if choice != before:
            one.chosen = choice
            self._switched(one, before, choice)

    def _switched(self, one: _Derived, before: int | None, choice: int | None) -> None:
        sources = one.rules.sources
        value: dict[str, Value] = {
            "from": None if before is None else sources[before],
            "to": None if choice is None else sources[choice],
        }
        log.info("source switched", extra={"topic": one.topic, **value})
        metadata = Metadata(ValueType.JSON, kind=Kind.EVENT, description="a switch of the source")
        channel = self._bus.channel(SWITCHES + one.topic, metadata)
        self._bus.publish(channel, Reading(self._bus.now_us(), value))

    def _plan(self, one: _Derived) -> None:
        if one.rules.tick_s is not None and one.timer is None:
            one.timer = self._loop.call_later(one.rules.tick_s, self._tick, one)

    def _tick(self, one: _Derived) -> None:
        one.timer = None
        now_us = self._bus.now_us()
        if one.rules.fallback is None:
            self._publish(one, now_us, one.derivation.result(now_us), is_tick=True)
        else:
            self._choose(one, now_us)
        self._plan(one)

    def _publish(
        self, one: _Derived, at_us: int, result: Result | None, *, is_tick: bool = False
    ) -> None:
        if result is None:
            return
        metadata = _metadata(one)
        if metadata is None:
            result = Result(None, NO_UNIT)
            metadata = Metadata(description=one.rules.description)
        channel = self._bus.channel(one.topic, metadata)
        reading = Reading(at_us, result.value, result.quality)
        last = one.last
        if result.quality.level is Level.BAD and last is not None:
            reading = Reading(last.time_us, last.value, result.quality, restates=True)
        is_same = last is not None and reading[1:3] == last[1:3]
        if is_tick and is_same:
            return
        one.last = reading
        self._bus.publish(channel, reading)


def _restore(one: _Derived, kept: Value) -> int:
    """Restore a total; return the time of the reading that it has counted last."""
    found = _total(one, kept)
    if found is None:
        return 0
    one.derivation.offset, one.derivation.count, at_us = found
    return at_us


def _total(one: _Derived, kept: Value) -> tuple[float, float, int] | None:
    """Read a row: the offset, the counter, and the time of the reading that was counted last."""
    match kept:
        case {
            "offset": int() | float() as offset,
            "count": int() | float() as count,
            "at_us": int(at_us),
        } if one.rules.total:
            return float(offset), float(count), at_us
    return None


def _metadata(one: _Derived) -> Metadata | None:
    """Return a derived channel's metadata; None if the units of a difference differ."""
    found = [metadata for metadata in one.metadata if metadata is not None]
    if len({metadata.unit for metadata in found}) > 1:
        return None
    decimals = one.rules.decimals
    if decimals is None and one.rules.kind not in {"mean", "rate"}:
        given = [metadata.decimals for metadata in found if metadata.decimals is not None]
        decimals = max(given) if len(given) == len(found) else None
    unit = derived_unit(one.rules.kind, found[0].unit)
    return Metadata(unit=unit, decimals=decimals, description=one.rules.description)
