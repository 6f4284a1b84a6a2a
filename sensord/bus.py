"""The bus: channels, their last values, and publishing into the log.

Everything that has a topic goes through here: devices' readings, ``$sys`` states, audit events.
`publish` never waits: a record goes into the log and to the sinks that selected its channel, and
each of those must do no more than note it.

The bus does not know who its sinks are. They are matched once a channel or sink, through the trees
of `sensord.model.topics`; publishing walks a ready list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Protocol

from sensord.log import Log
from sensord.model.clocks import Clock
from sensord.model.readings import Channel, Metadata, Reading, Record, make_record
from sensord.model.topics import FilterTree, TopicTree

__all__ = ["Bus", "Sink", "Watcher"]

_number = attrgetter("number")


class Watcher(Protocol):
    """An object that is notified of the channels that its filters select."""

    def selected(self, channel: Channel) -> None:
        """Add a new channel; may not wait and may not raise."""
        ...


class Sink(Protocol):
    """An object that receives the records of the channels that its filters select."""

    def push(self, record: Record) -> None:
        """Accept a record; may not wait and may not raise."""
        ...

    def selected(self, channel: Channel) -> None:
        """Add a new channel before its records come."""
        ...


class Bus:
    """Channels, last values and publishing."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self.log = log
        self._clock = clock
        self._last: list[Record | None] = []  # by number
        self._sinks: list[dict[Sink, None]] = []  # by number
        self._muted: set[Sink] = set()
        self._by_topic: dict[str, Channel] = {}
        self._topics: TopicTree[Channel] = TopicTree()
        self._filters: FilterTree[Sink] = FilterTree()
        self._watchers: FilterTree[Watcher] = FilterTree()
        self._described: dict[tuple[str, Metadata], Channel] = {}
        self._claimed: set[str] = set()
        self._forgotten: set[str] = set()
        self.on_return: Callable[[str], None] | None = None
        """Called with a forgotten topic that is published again; may not raise."""

    def channel(self, topic: str, metadata: Metadata) -> Channel:
        """Return the channel of a well-formed topic; makes one if topic or metadata are new.

        A channel that gives way to another stays selectable, for old records in the log are its,
        but it has no last value any more.
        """
        known = self._by_topic.get(topic)
        if known is not None:
            if known.metadata == metadata:
                return known
            self._last[known.number] = None
        elif topic in self._forgotten:
            return self._return(topic, metadata)
        channel = self._by_topic[topic] = self._make(topic, metadata)
        return channel

    def restore(self, topic: str, metadata: Metadata) -> None:
        """Register the channel of old readings, so that it can be selected.

        It does not replace the channel that has its topic now.
        """
        if topic not in self._by_topic and topic not in self._forgotten:
            self.channel(topic, metadata)
        elif (topic, metadata) not in self._described:
            self._make(topic, metadata)

    def _make(self, topic: str, metadata: Metadata) -> Channel:
        channel = Channel(len(self._last), topic, metadata)
        # A sink with several matching filters is matched several times, but served once.
        sinks = list(dict.fromkeys(self._filters.match(topic)))
        self._last.append(None)
        self._sinks.append(dict.fromkeys(one for one in sinks if one not in self._muted))
        self._described[topic, metadata] = channel
        self._topics.add(topic, channel)
        for sink in sinks:
            sink.selected(channel)
        for watcher in dict.fromkeys(self._watchers.match(topic)):
            watcher.selected(channel)
        return channel

    def described(self, topic: str, metadata: Metadata) -> Channel:
        """Return the channel with this topic and metadata; may be called in any thread.

        Raises:
            KeyError: The channel is not known.
        """
        return self._described[topic, metadata]

    def claim(self, topic: str) -> bool:
        """Reserve a topic for one writer; return False if another one has it."""
        if topic in self._claimed:
            return False
        self._claimed.add(topic)
        return True

    def release(self, topic: str) -> None:
        """Undo a `claim`."""
        self._claimed.discard(topic)

    def forget(self, topic: str) -> None:
        """Drop a topic without a writer: it has no last value, and `find` does not return it.

        Its channels stay selectable, for old records in the log use them. It returns when its
        channel is asked for again.
        """
        channel = self._by_topic.pop(topic)
        self._last[channel.number] = None
        self._forgotten.add(topic)
        for watcher in dict.fromkeys(self._watchers.match(topic)):
            watcher.selected(channel)

    def is_forgotten(self, topic: str) -> bool:
        """Return whether a topic was forgotten, and has not come back."""
        return topic in self._forgotten

    def _return(self, topic: str, metadata: Metadata) -> Channel:
        """Restore a forgotten topic."""
        self._forgotten.discard(topic)
        channel = self._described.get((topic, metadata))
        if channel is None:
            channel = self._by_topic[topic] = self._make(topic, metadata)
        else:
            self._by_topic[topic] = channel
            for watcher in dict.fromkeys(self._watchers.match(topic)):
                watcher.selected(channel)
        if self.on_return is not None:
            self.on_return(topic)
        return channel

    def publish(self, channel: Channel, reading: Reading) -> Record:
        """Write a reading into the log and hand its record to every sink of the channel."""
        return self._publish(channel, reading, self._clock.wall_us())

    def _publish(self, channel: Channel, reading: Reading, log_us: int) -> Record:
        log, number = self.log, channel.number
        record = make_record((log.tail, log_us, channel, reading))
        log.append(record)
        self._last[number] = record
        for sink in self._sinks[number]:
            sink.push(record)
        return record

    def publish_all(self, readings: Sequence[tuple[Channel, Reading]], log_us: int) -> None:
        """Publish readings that arrived together at ``log_us``, in their order.

        Equivalent to `publish` for each, at less cost. All are in the log before the first is
        passed on, which no sink can notice: a sink only notes what it gets.
        """
        if len(readings) == 1:
            self._publish(*readings[0], log_us)
            return
        records = [
            make_record((offset, log_us, channel, reading))
            for offset, (channel, reading) in enumerate(readings, self.log.tail)
        ]
        self.log.extend(records)
        last, sinks = self._last, self._sinks
        for record in records:
            number = record.channel.number
            last[number] = record
            for sink in sinks[number]:
                sink.push(record)

    def remember(self, record: Record) -> None:
        """Use a record from before the start as the last one of its channel, if that has none.

        It is in the log already, so no sink gets it.
        """
        if self._last[record.channel.number] is None:
            self._last[record.channel.number] = record

    def now_us(self) -> int:
        """Return the wall clock that stamps the log."""
        return self._clock.wall_us()

    def last(self, channel: Channel) -> Record | None:
        """Return the last record of a channel."""
        return self._last[channel.number]

    def select(self, filters: Iterable[str]) -> list[Channel]:
        """Return the channels that any of the filters selects, each once, by number."""
        return sorted(self._topics.match_any(filters), key=_number)

    def selecting(self, filters: Iterable[str]) -> Iterator[Channel]:
        """Yield the channels that any of the filters selects, each once, in no order.

        For those who do a part at a time; whether channels that are new meanwhile come too is left
        open.
        """
        return self._topics.match_any(filters)

    def find(self, topic: str) -> Channel | None:
        """Return the channel of exactly this topic, if there is one."""
        return self._by_topic.get(topic)

    def attach(self, filters: Sequence[str], sink: Sink) -> list[Channel]:
        """Pass ``sink`` what the filters select from now on; return the channels known now."""
        for pattern in filters:
            self._filters.add(pattern, sink)
        channels = self.select(filters)
        for channel in channels:
            self._sinks[channel.number][sink] = None
        return channels

    def detach(self, filters: Sequence[str], sink: Sink) -> None:
        """Undo an `attach` with the same filters."""
        for pattern in filters:
            self._filters.remove(pattern, sink)
        if sink in self._muted:
            self._muted.discard(sink)
            return
        for channel in self.select(filters):
            del self._sinks[channel.number][sink]

    def mute(self, channels: Iterable[Channel], sink: Sink) -> None:
        """Pass no more records to an attached sink; it still gets new channels.

        ``channels`` are all that were announced to it.
        """
        self._muted.add(sink)
        for channel in channels:
            del self._sinks[channel.number][sink]

    def unmute(self, channels: Iterable[Channel], sink: Sink) -> None:
        """Pass records to a muted sink again."""
        self._muted.discard(sink)
        for channel in channels:
            self._sinks[channel.number][sink] = None

    def watch(self, filters: Sequence[str], watcher: Watcher) -> None:
        """Notify ``watcher`` of each new channel that the filters select, but of no records."""
        for pattern in filters:
            self._watchers.add(pattern, watcher)

    def unwatch(self, filters: Sequence[str], watcher: Watcher) -> None:
        """Undo a `watch` with the same filters."""
        for pattern in filters:
            self._watchers.remove(pattern, watcher)
