"""Publishing by clients: readings of the topics that the configuration opens for them.

A topic has one publisher at a time. When that client is gone, its topics say so, as those of a
device that went away.
"""

from __future__ import annotations

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
from sensord.sharing.allowance import Rank
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.presence import Presence

__all__ = ["Publishing"]

CHANNELS_PER_TOPIC = 10
"""A client of another name makes another channel, and channels stay: so many there may be for each
topic that clients may publish, on average."""

MAX_WEIGHT = 256 * 1024
"""Of a value in memory: each topic has one that stands."""

_DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)


@dataclass(slots=True)
class _Tap:
    """A topic that was published to."""

    channel: Channel
    owner: Identity | None
    stays: bool
    last: Reading | None = None


class Publishing:
    """The topics that clients publish."""

    def __init__(
        self, bus: Bus, audit: Audit, presence: Presence, topics: Mapping[str, OpenTopic], most: int
    ) -> None:
        self._bus = bus
        self._audit = audit
        self._topics = topics
        self._most = most
        self._taps: dict[str, _Tap] = {}
        self._channels: set[tuple[str, str]] = set()  # topic and client's name
        presence.on_gone.append(self._gone)

    @property
    def filters(self) -> Iterable[str]:
        """Return what selects the topics that are open."""
        return self._topics

    def publish(
        self, who: Identity, topic: str, value: Value, time_us: int | None, *, is_held: bool = False
    ) -> Record:
        """Publish a reading; whoever holds the lease on a topic may take it from its publisher.

        Raises:
            ProtocolError: The topic is not open, somebody else's, or the value does not fit.
        """
        self._audit.allowance.admit(who.id, Rank.VALUE)
        tap = self._taps.get(topic)
        if tap is not None and tap.owner is not None and tap.owner.id != who.id and not is_held:
            raise ProtocolError("held", _held(tap.owner, topic))
        opened = self._find(topic)
        low, high = opened.range or (None, None)
        rules = Rules(type=opened.type, low=low, high=high, decimals=opened.decimals)
        fitting, quality = conform(rules, value, GOOD)
        if quality.level is not Level.GOOD:
            text = f"value: {quality.reason}; send {_wanted(opened)}"
            raise ProtocolError("bad_request", text)
        if weight_of(fitting) > MAX_WEIGHT:
            raise ProtocolError("bad_request", "value: too large; send several readings")
        # What is refused takes nothing and leaves nothing.
        if tap is None or tap.owner is None or tap.owner.id != who.id:
            tap = self._open(who, topic, opened, tap)
        now_us = self._bus.now_us()
        tap.last = Reading(now_us if time_us is None else time_us, fitting)
        return self._audit.allowance.publish(who.id, tap.channel, tap.last)

    def _find(self, topic: str) -> OpenTopic:
        opened = next((o for p, o in self._topics.items() if matches(p, topic)), None)
        if opened is None:
            known = ", ".join(self._topics) or "none"
            raise ProtocolError("not_found", f"{topic} is not open for clients; open are: {known}")
        return opened

    def _open(self, who: Identity, topic: str, opened: OpenTopic, tap: _Tap | None) -> _Tap:
        """Make a client the publisher of a topic, in the place of the one before."""
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
        metadata = Metadata(
            type=opened.type,
            unit=opened.unit,
            decimals=opened.decimals,
            kind=opened.kind,
            description=opened.description,
            device=device,
        )
        self._channels.add((topic, device))
        tap = self._taps[topic] = _Tap(self._bus.channel(topic, metadata), who, opened.stays)
        self._audit.note("publish", who, topic, "begin")
        return tap

    def _gone(self, who: Identity) -> None:
        for topic, tap in self._taps.items():
            if tap.owner is None or tap.owner.id != who.id:
                continue
            tap.owner = None
            self._audit.note("publish", who, topic, "end")
            if tap.last is not None and not tap.channel.is_event and not tap.stays:
                told = tap.last._replace(quality=_DISCONNECTED, restates=True)
                self._audit.allowance.publish(who.id, tap.channel, told)


def _held(owner: Identity, topic: str) -> str:
    name = f"{owner.name} ({owner.id})" if owner.name else owner.id
    return f"{name} publishes {topic}, until it has been gone for longer than its grace time"


def _wanted(opened: OpenTopic) -> str:
    text = f"a value of type {opened.type.value}"
    if not opened.range:
        return text
    low, high = opened.range
    return f"{text} from {low:g} to {high:g}"
