"""Publishing by clients: readings of the topics that the configuration opens for them.

A topic has one publisher at a time. When that client is gone, its topics become bad, like those of
a device that went away. One that has no session is never gone, and others may publish after it.

Theory of operation. After a restart the journal has the last reading of each topic, and the store
has its publisher. The store also has a reading of each topic, at most a minute old, because the
journal's retention removes old readings even if they are still current; the one accepted later
counts. The topics of a publisher that does not come back within its grace time become bad, too.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sensord.bus import Bus
from sensord.config.tree import OpenTopic
from sensord.device.conform import Rules, conform
from sensord.errors import ProtocolError
from sensord.model.readings import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Record,
    Value,
)
from sensord.model.topics import matches
from sensord.model.weight import weight_of
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.presence import Presence
from sensord.sharing.store import Store, StoreError

__all__ = ["Publishing", "standing"]

log = logging.getLogger("sensord.sharing")

KIND = "publication"
"""The kinds of rows in the store: a topic's publisher and its reading."""

SAVE_S = 60.0
"""How often changed readings are written to the store; newer ones are in the journal."""

MAX_SAVED_BYTES = 16 * 1024
"""The largest reading in the store; a larger one is in the journal only."""

CHANNELS_PER_TOPIC = 10
"""The most channels for each topic that clients may publish, on average: a client of another name
makes another channel, and channels are never removed."""

MAX_WEIGHT = 256 * 1024
"""The largest value in memory; each topic has one."""

_DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)


@dataclass(slots=True)
class _Tap:
    """A topic that was published to."""

    channel: Channel
    owner: Identity | None
    is_retained: bool
    last: Reading | None = None
    log_us: int = 0
    """When the last reading was accepted."""


def standing(bus: Bus, topics: Mapping[str, OpenTopic]) -> list[Channel]:
    """Return the channels of clients' topics, as the configuration still opens them."""
    found = []
    for channel in bus.select(topics):
        opened = _opened(topics, channel.topic)
        is_same = opened is not None and channel.metadata == _metadata(
            opened, channel.metadata.device
        )
        if is_same and bus.find(channel.topic) is channel:
            found.append(channel)
    return found


class Publishing:
    """The topics that clients publish."""

    def __init__(
        self,
        bus: Bus,
        audit: Audit,
        presence: Presence,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        topics: Mapping[str, OpenTopic],
        most: int,
    ) -> None:
        self._bus = bus
        self._audit = audit
        self._presence = presence
        self._store = store
        self._loop = loop
        self._topics = topics
        self._most = most
        self._taps: dict[str, _Tap] = {}
        self._channels: set[tuple[str, str]] = set()  # topic and client's name
        self._unsaved: set[str] = set()
        self._saving: asyncio.Handle | None = None
        presence.on_gone.append(self._gone)

    @property
    def filters(self) -> Iterable[str]:
        """Return the filters of the open topics."""
        return self._topics

    def publish(
        self, who: Identity, topic: str, value: Value, time_us: int | None, *, is_held: bool = False
    ) -> Record:
        """Publish a reading; the holder of a topic's lease may take it over from its publisher.

        Raises:
            ProtocolError: The topic is not open or has another publisher, or the value is invalid.
        """
        self._audit.allowance.admit_value(who.id, weight_of(value))
        tap = self._taps.get(topic)
        owner = None if tap is None or is_held else tap.owner
        if owner is not None and owner.id != who.id and not owner.is_sessionless:
            raise ProtocolError("held", _held(owner, topic))
        opened = self._find(topic)
        low, high = opened.range or (None, None)
        rules = Rules(type=opened.type, low=low, high=high, decimals=opened.decimals)
        fitting, quality = conform(rules, value, GOOD)
        if quality.level is not Level.GOOD:
            text = f"value: {quality.reason}; send {_wanted(opened)}"
            raise ProtocolError("bad_request", text)
        if weight_of(fitting) > MAX_WEIGHT:
            raise ProtocolError("bad_request", "value: too large; send several readings")
        # A refused reading changes nothing.
        if tap is None or tap.owner is None or tap.owner.id != who.id:
            tap = self._open(who, topic, opened, tap)
        now_us = self._bus.now_us()
        tap.last = Reading(now_us if time_us is None else time_us, fitting)
        record = self._audit.allowance.publish(who.id, tap.channel, tap.last)
        is_first, tap.log_us = not tap.log_us, record.log_us
        self._changed(topic, at_once=is_first)
        return record

    def feeds(self, channel: Channel) -> str:
        """Return which client publishes on a channel, for people; empty if none does."""
        tap = self._taps.get(channel.topic)
        if tap is None or tap.owner is None:
            return ""
        return f"{tap.owner.name or tap.owner.id} publishes it"

    def may_feed(self, _channel: Channel) -> str:
        """Return an empty text: a topic that is not published has no publisher."""
        return ""

    def release(self, channel: Channel) -> None:
        """Drop a topic whose publisher is gone, and what was kept of it."""
        if self._taps.pop(channel.topic, None) is None:
            return
        self._bus.release(channel.topic)
        self._unsaved.discard(channel.topic)
        try:
            self._store.delete(KIND, channel.topic)
        except StoreError as exc:
            found = {"topic": channel.topic, "reason": str(exc)}
            log.warning("publication not removed", extra=found)

    # -- what survives a restart -------------------------------------------------------------------

    def restore(self) -> None:
        """Restore the topics after a restart; the bus already has the journal's last values."""
        rows = self._store.load(KIND)
        channels = {channel.topic: channel for channel in standing(self._bus, self._topics)}
        for topic in sorted(rows.keys() | channels.keys()):
            if topic in self._taps:  # the rows came late, and it is published again
                self._changed(topic)
                continue
            kept = _kept(rows.get(topic))
            channel = channels.get(topic)
            if not self._restore(topic, kept, channel) and topic in rows:
                self._store.delete(KIND, topic)

    def _restore(self, topic: str, kept: _Kept | None, channel: Channel | None) -> bool:
        """Restore a topic; return False if it is unknown or no longer open."""
        opened = _opened(self._topics, topic)
        record = None if channel is None else self._bus.last(channel)
        if opened is None or (record is None and (kept is None or kept.reading is None)):
            return False
        if len(self._taps) >= self._most or not self._bus.claim(topic):
            return False
        if (
            kept is not None
            and kept.reading is not None
            and (record is None or record.log_us < kept.log_us)
        ):
            channel = self._bus.channel(topic, _metadata(opened, kept.device))
            record = self._bus.publish(channel, kept.reading._replace(restates=True))
        assert record is not None
        owner = None if kept is None else kept.owner
        tap = _Tap(record.channel, owner, opened.retain, record.reading, record.log_us)
        self._taps[topic] = tap
        self._channels.add((topic, record.channel.metadata.device))
        if owner is None or not (owner.is_sessionless or self._presence.find(owner.id)):
            self._leave(topic, tap)
        return True

    def close(self) -> None:
        """Write changed readings to the store."""
        if self._saving is not None:
            self._saving.cancel()
        self._save()

    def _changed(self, topic: str, *, at_once: bool = False) -> None:
        self._unsaved.add(topic)
        if at_once:
            self._save()
        elif self._saving is None:
            self._saving = self._loop.call_later(SAVE_S, self._save_again)

    def _save_again(self) -> None:
        self._saving = None
        self._save()

    def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, set()
        for topic in unsaved:
            tap = self._taps[topic]
            try:
                if tap.owner is None and not tap.is_retained:
                    self._store.delete(KIND, topic)
                else:
                    self._store.put(KIND, topic, _row(tap))
            except StoreError as exc:
                self._unsaved.add(topic)
                log.warning("publication not kept", extra={"topic": topic, "reason": str(exc)})
                break

    # -- inside ------------------------------------------------------------------------------------

    def _find(self, topic: str) -> OpenTopic:
        opened = _opened(self._topics, topic)
        if opened is None:
            known = ", ".join(self._topics) or "none"
            raise ProtocolError("not_found", f"{topic} is not open for clients; open are: {known}")
        return opened

    def _open(self, who: Identity, topic: str, opened: OpenTopic, tap: _Tap | None) -> _Tap:
        """Make a client the publisher of a topic, in place of the one before."""
        device = who.name or who.id
        is_new = (topic, device) not in self._channels
        if is_new and len(self._channels) >= CHANNELS_PER_TOPIC * self._most:
            text = "clients published under too many names; give yours always the same one"
            raise ProtocolError("too_many", text)
        if tap is None:
            if len(self._taps) >= self._most:
                text = f"clients publish {self._most} topics already, which is clients.max_topics"
                raise ProtocolError("too_many", text)
            if not self._bus.claim(topic):
                raise ProtocolError("held", f"a device publishes {topic}")
        elif tap.owner is not None:
            self._audit.note("publish", tap.owner, topic, "end")
        self._channels.add((topic, device))
        channel = self._bus.channel(topic, _metadata(opened, device))
        tap = self._taps[topic] = _Tap(channel, who, opened.retain)
        self._audit.note("publish", who, topic, "begin")
        return tap

    def _gone(self, who: Identity) -> None:
        for topic, tap in self._taps.items():
            if tap.owner is None or tap.owner.id != who.id:
                continue
            self._leave(topic, tap)

    def _leave(self, topic: str, tap: _Tap) -> None:
        """Remove the publisher of a topic, which becomes bad unless it is retained."""
        owner, tap.owner = tap.owner, None
        if owner is not None:
            self._audit.note("publish", owner, topic, "end")
        is_left = tap.last is not None and tap.last.quality.level is not Level.BAD
        if tap.last is not None and is_left and not tap.channel.is_event and not tap.is_retained:
            tap.last = tap.last._replace(quality=_DISCONNECTED, restates=True)
            client = owner.id if owner is not None else ""
            tap.log_us = self._audit.allowance.publish(client, tap.channel, tap.last).log_us
        self._changed(topic)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A topic's rows in the store."""

    owner: Identity | None
    device: str
    reading: Reading | None
    log_us: int


def _row(tap: _Tap) -> dict[str, Value]:
    owner = tap.owner
    row: dict[str, Value] = {
        "owner": None if owner is None else [owner.id, owner.name, owner.address],
        "device": tap.channel.metadata.device,
    }
    # A client publishes good readings only; other qualities are found again after a restart.
    if tap.last is not None and len(json.dumps(tap.last.value)) <= MAX_SAVED_BYTES:
        row |= {"value": tap.last.value, "time_us": tap.last.time_us, "log_us": tap.log_us}
    return row


def _kept(row: Value) -> _Kept | None:
    owner, reading, accepted_us = None, None, 0
    match row:
        case {"owner": [str(number), str(name), str(address)]}:
            owner = Identity(number, name, address)
    match row:
        case {"value": value, "time_us": int(time_us), "log_us": int(log_us)}:
            reading, accepted_us = Reading(time_us, value), log_us
    match row:
        case {"device": str(device)}:
            return _Kept(owner, device, reading, accepted_us)
    return None


def _opened(topics: Mapping[str, OpenTopic], topic: str) -> OpenTopic | None:
    return next((o for pattern, o in topics.items() if matches(pattern, topic)), None)


def _metadata(opened: OpenTopic, device: str) -> Metadata:
    return Metadata(
        type=opened.type,
        unit=opened.unit,
        decimals=opened.decimals,
        kind=opened.kind,
        description=opened.description,
        device=device,
    )


def _held(owner: Identity, topic: str) -> str:
    name = f"{owner.name} ({owner.id})" if owner.name else owner.id
    return f"{name} publishes {topic}, until it has been gone for longer than its grace time"


def _wanted(opened: OpenTopic) -> str:
    text = f"a value of type {opened.type.value}"
    if not opened.range:
        return text
    low, high = opened.range
    return f"{text} from {low:g} to {high:g}"
