"""A device at work: between its reader and its intake, with its state under ``$sys/devices``.

A reader sees it as its link, the supervisor as its watch. It adds the time to what arrives, keeps
the timer of the publish policies, publishes the device's death and reports its state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from sensord.bus import Bus
from sensord.config.tree import Device as DeviceConfig
from sensord.decode.base import Decoder, Fault, Framer, Sample
from sensord.device.children import Child
from sensord.device.commands import Commands
from sensord.device.intake import DEVICE, Intake, Listener, Route
from sensord.device.lens import Lens
from sensord.device.states import Event, State, after, event_of
from sensord.device.supervisor import Repeats
from sensord.model.clocks import Clock
from sensord.model.readings import (
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Value,
    ValueType,
)
from sensord.model.topics import POSITIONS

__all__ = ["Device", "State", "Statistics"]

log = logging.getLogger("sensord.device")

STATUS_S = 60.0
"""Counts are published this often: each time is a write on the SD card of a recording gateway."""

EARLY_STATUS_S = (1.0, 10.0)
"""For a device that has just come up they are published sooner: somebody may be wiring it."""

FAULT_STATUS_S = 10.0
"""A fault is published sooner, for somebody may be looking for it."""

MOST_OFFLINE = 100
"""So many are named in the status, which is recorded."""

_DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The content of ``$sys/devices/<name>``."""

    state: State
    detail: str
    since_us: int
    last_reading_us: int | None
    connects: int
    messages: int
    samples: int
    readings: int
    faults: dict[str, int]
    passed_over: dict[str, int]
    offline: list[str]
    """The availability topics that report so, at most `MOST_OFFLINE`."""


class ClockTrust(Protocol):
    """Reports whether the wall clock can be trusted."""

    def is_set(self, monotonic_us: int, wall_us: int) -> bool:
        """Return whether a reading that comes now may be given the clock's time."""
        ...


class _Listeners:
    """Several listeners as one."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def on_message(self, message: bytes) -> bool:
        answers = [one.on_message(message) for one in self._listeners]
        return any(answers)

    def on_value(self, topic: str, value: Value, quality: Quality) -> None:
        for one in self._listeners:
            one.on_value(topic, value, quality)

    def recalled(self, topic: str, value: Value, quality: Quality) -> None:
        for one in self._listeners:
            one.recalled(topic, value, quality)


class Device:
    """One configured device at work."""

    def __init__(
        self,
        config: DeviceConfig,
        framer: Framer,
        decoder: Decoder | None,
        bus: Bus,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        *,
        most_commands: int = 16,
        clock_trust: ClockTrust | None = None,
    ) -> None:
        self.name = config.name
        self._bus = bus
        self._clock = clock
        self._clock_trust = clock_trust
        self._loop = loop
        self._intake = Intake(config, framer, decoder, bus, self._on_fault, self._on_passed_over)
        self.commands = Commands(
            config.name, config.commands, self._listen, most_waiting=most_commands
        )
        """What clients may have it do."""
        self.lens = Lens(config.name, bus, self._listen_again, self._behind)
        """Shows what its connection carries, on request."""
        self._is_awaited = False  # a command waits for the device's output
        self._repeats = Repeats()
        self._state = State.CONNECTING
        self._detail = ""
        self._where = ""  # how it was reached
        self._since_us = clock.wall_us()
        self._last_reading_us: int | None = None
        self._samples = 0  # counted when the last reading came
        self._connects = 0
        self._timer: asyncio.Handle | None = None
        self._timer_due_us = 0
        self._status_timer: asyncio.Handle | None = None
        self._status_due = 0.0
        self._status_published_at = -float("inf")
        self._early: list[float] = []  # after which times the next ones come, if not as always
        self._child_channels: dict[str, Channel] = {}
        self._position: Channel | None = None
        bus.claim(f"$sys/devices/{config.name}")
        self._status = bus.channel(
            f"$sys/devices/{config.name}",
            Metadata(ValueType.JSON, description=config.description, device=config.name),
        )

    def statistics(self) -> Statistics:
        """Return the state of the device, and its counts."""
        totals = self._intake.totals
        return Statistics(
            state=self._state,
            detail=self._detail,
            since_us=self._since_us,
            last_reading_us=self._last_reading_us,
            connects=self._connects,
            messages=totals.messages,
            samples=totals.samples,
            readings=totals.readings,
            faults=dict(totals.faults),
            passed_over=dict(self._intake.passed_over),
            offline=self._intake.away()[:MOST_OFFLINE],
        )

    def feeds(self, channel: Channel) -> str:
        """Return how this device feeds a channel, for people; empty if it does not."""
        topic = channel.topic
        if topic in self._intake.topics():
            return f"{self.name} feeds it"
        if topic == self._status.topic:
            return f"it is the state of {self.name}, which is configured"
        if self._position is channel:
            return f"it is how far {self.name} has read its source"
        for name, own in self._child_channels.items():
            if own is channel:
                return f"it is the state of {name}, which {self.name} publishes"
        return ""

    def may_feed(self, channel: Channel) -> str:
        """Return why this device may still feed a channel, for people; empty if it will not."""
        topic = channel.topic
        is_own = channel.metadata.device == self.name and not topic.startswith("$")
        if is_own and self._last_reading_us is None:
            return f"{self.name} has sent nothing since the start, and may feed it"
        return ""

    def release(self, channel: Channel) -> None:
        """Do nothing: what it does not feed, it does not hold."""

    def retire(self, reason: str) -> set[str]:
        """End for good: its channels are bad from now on; return the topics that are free again."""
        self.down(reason, "", 0.0)
        self.close()
        topics = {*self._intake.topics(), self._status.topic}
        if self._position is not None:
            topics.add(self._position.topic)
        topics |= {channel.topic for channel in self._child_channels.values()}
        for topic in topics:
            self._bus.release(topic)
        return topics

    def close(self) -> None:
        """Stop the timers and report that it is stopped; the reader has ended."""
        if self._state is not State.STOPPED:
            self._happened(Event.STOP, "")
        for timer in (self._timer, self._status_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._status_timer = None

    # -- the reader's link -------------------------------------------------------------------------

    def opened(self, _detail: str) -> None:
        """Drop incomplete input: the device is back."""
        self._intake.reset()

    def data(self, data: bytes) -> None:
        """Process the next bytes of the stream."""
        now_us, wall_us = self._now()
        self._intake.data(data, now_us, wall_us)
        self._after(wall_us)

    def message(self, route: Route, payload: bytes) -> None:
        """Process one whole message."""
        now_us, wall_us = self._now()
        known = len(self._intake.children)
        self._intake.message(route, payload, now_us, wall_us)
        if len(self._intake.children) > known:
            self._publish_news()
        if route.is_retained:
            self._samples = self._intake.totals.samples  # no sign of life
        self._after(wall_us)

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        """Process values that need no decoding."""
        now_us, wall_us = self._now()
        self._intake.samples(route, samples, now_us, wall_us)
        self._after(wall_us)

    def availability(self, name: str, *, is_there: bool) -> None:
        """Accept what ``name`` reports of the sources that depend on it."""
        was_there = not self._intake.is_away(name)
        now_us, wall_us = self._clock.monotonic_us(), self._clock.wall_us()
        self._intake.availability(name, now_us, wall_us, is_there=is_there)
        self._publish_news()
        if was_there is is_there:
            return
        message = "reported online" if is_there else "reported offline"
        unlogged = self._repeats.note(message, self._clock.monotonic_us())
        if unlogged is not None:
            more = {"unlogged": str(unlogged)} if unlogged else {}
            log.info(message, extra={"device": self.name, "topic": name, **more})
        self._publish_status_soon()

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        """Record the metadata of a field of samples, and its device."""
        self._intake.describe(field, metadata, device)
        if device:
            self._intake.expect(device, device, self._clock.wall_us())

    def received(self, data: bytes, source: str = "") -> None:
        """Do nothing: no lens is in use."""

    def sent(self, data: bytes, source: str = "") -> None:
        """Do nothing: no lens is in use."""

    def when_kept(self, act: Callable[[], None]) -> None:
        """Call ``act`` once what was published so far is in the journal."""
        self._bus.log.when_kept(act)

    def position(self) -> Value:
        """Return how far the source was read."""
        channel = self._bus.find(f"{POSITIONS}{self.name}")
        last = None if channel is None else self._bus.last(channel)
        return None if last is None else last.reading.value

    def reached(self, position: Value) -> None:
        """Record how far the source was read."""
        if self._position is None:
            metadata = Metadata(
                ValueType.JSON, description="how far the source was read", device=self.name
            )
            self._bus.claim(f"{POSITIONS}{self.name}")
            self._position = self._bus.channel(f"{POSITIONS}{self.name}", metadata)
        self._bus.publish(self._position, Reading(self._clock.wall_us(), position))

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        """Count and report something wrong that does not end the connection."""
        self._intake.totals.faults[reason] += 1
        if device and device != self.name:
            child = self._intake.children.find(device, self._clock.wall_us())
            if child is not None:
                child.faults[reason] += 1
                child.last_fault = f"{reason}: {detail}"
        if self.lens.is_used:
            self.lens.fault(reason, detail)
        self._publish_fault("device fault", reason, {"detail": detail})

    # -- the supervisor's watch --------------------------------------------------------------------

    def connecting(self) -> None:
        """Note that the reader is started."""
        if self._state is State.CONNECTING:
            self._happened(Event.START, "")

    def up(self, detail: str) -> None:
        """Note that the device is up."""
        self._connects += 1
        self._early = [*EARLY_STATUS_S]
        self.commands.up()
        if self.lens.is_used:
            self.lens.up(detail)
        self._where = detail
        self._happened(Event.OPENED, self._detail if self._state is State.SILENT else detail)

    def down(self, reason: str, detail: str, retry_in_s: float) -> None:
        """Note that the device is down, and publish that on its channels at once."""
        event = event_of(reason)
        self._intake.spoil(self._clock.monotonic_us(), _DISCONNECTED)
        text = f"{reason}: {detail}" if detail else reason
        self.commands.down(text)
        if self.lens.is_used:
            self.lens.down(text)
        if after(self._state, event) is not self._state or text != self._detail:
            self._happened(event, text)
        del retry_in_s

    # -- inside ------------------------------------------------------------------------------------

    def _listen(self, is_on: bool) -> None:  # noqa: FBT001  # what a command says
        self._is_awaited = is_on
        self._listen_again()

    def _listen_again(self) -> None:
        """Have the intake show what comes to the command under way, and to who looks."""
        listeners: list[Listener] = [self.commands] if self._is_awaited else []
        if self.lens.is_used:
            listeners.append(self.lens)
        if len(listeners) > 1:
            self._intake.listener = _Listeners(*listeners)
        else:
            self._intake.listener = listeners[0] if listeners else None

    def _behind(self) -> list[str]:
        return [child.name for child in self._intake.children]

    def _now(self) -> tuple[int, int]:
        """Return both clocks; the intake knows from here on whether the second can be trusted."""
        now_us, wall_us = self._clock.monotonic_us(), self._clock.wall_us()
        if self._clock_trust is not None:
            self._intake.times.is_clock_set = self._clock_trust.is_set(now_us, wall_us)
        return now_us, wall_us

    def _after(self, wall_us: int) -> None:
        samples = self._intake.totals.samples
        if samples > self._samples:
            # Noise is no reading: a device that sends nothing else must not look alive.
            self._samples = samples
            self._last_reading_us = wall_us
            if self._state is State.SILENT:
                self._happened(Event.HEARD, self._where)
        if self._intake.due_us is not None:
            self._schedule(self._intake.due_us)
        if self._status_timer is None:
            self._publish_status_in(self._early.pop(0) if self._early else STATUS_S)

    def _schedule(self, due_us: int) -> None:
        if self._timer is not None:
            if self._timer_due_us <= due_us:
                return
            self._timer.cancel()
        # Not asked of the handle: uvloop's has no time where the delay rounds to none.
        self._timer_due_us = due_us
        delay_s = (due_us - self._clock.monotonic_us()) / 1e6
        self._timer = self._loop.call_later(max(0.0, delay_s), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._intake.tick(self._clock.monotonic_us())
        if self._intake.due_us is not None:
            self._schedule(self._intake.due_us)

    def _on_passed_over(self, name: str) -> None:
        log.info("passed over", extra={"device": self.name, "what": name})

    def _on_fault(self, fault: Fault) -> None:
        text = fault.excerpt.decode("ascii", "backslashreplace")
        if self.lens.is_used:
            shown = f"{text}; {fault.detail}" if fault.detail else text
            self.lens.fault(fault.reason, shown)
        more = {"detail": fault.detail} if fault.detail else {}
        self._publish_fault("bad data", fault.reason, {"bytes": text, **more})

    def _publish_fault(self, message: str, reason: str, more: dict[str, str]) -> None:
        unlogged = self._repeats.note(reason, self._clock.monotonic_us())
        if unlogged is not None:
            extra = {"device": self.name, "reason": reason, **more}
            if unlogged:
                extra["unlogged"] = str(unlogged)
            log.warning(message, extra=extra)
        self._publish_status_soon()

    def _publish_status_soon(self) -> None:
        self._publish_status_in(
            max(0.5, self._status_published_at + FAULT_STATUS_S - self._loop.time())
        )

    def _happened(self, event: Event, detail: str) -> None:
        """Enter the state that follows, and publish it."""
        state = after(self._state, event)
        if state is not self._state:
            self._since_us = self._clock.wall_us()
        self._state, self._detail = state, detail
        self._publish_status()

    def _publish_status_in(self, delay_s: float) -> None:
        at = self._loop.time() + delay_s
        if self._status_timer is not None:
            if self._status_due <= at:
                return
            self._status_timer.cancel()
        self._status_due = at
        self._status_timer = self._loop.call_at(at, self._publish_status)

    def _publish_status(self) -> None:
        if self._status_timer is not None:
            self._status_timer.cancel()
            self._status_timer = None
        self._status_published_at = self._loop.time()
        statistics = self.statistics()
        value: Value = {
            "state": statistics.state.value,
            "detail": statistics.detail,
            "since_us": statistics.since_us,
            "last_reading_us": statistics.last_reading_us,
            "connects": statistics.connects,
            "messages": statistics.messages,
            "samples": statistics.samples,
            "readings": statistics.readings,
            "faults": {**statistics.faults},
            "passed_over": {**statistics.passed_over},
            "offline": [*statistics.offline],
        }
        self._bus.publish(self._status, Reading(self._clock.wall_us(), value))
        if self._position is not None and (last := self._bus.last(self._position)) is not None:
            # Near the end of the journal, whatever the source does: the next start finds it there.
            self._bus.publish(self._position, last.reading._replace(restates=True))
        for child in self._intake.children:
            self._publish_child(child)

    def _publish_news(self) -> None:
        """Publish what changed of the devices behind this connection."""
        for child in self._intake.children:
            if child.is_news:
                self._publish_child(child)

    def _publish_child(self, child: Child) -> None:
        if child.is_news:
            state = "offline" if child.is_away else "online"
            found = {"connection": self.name, "device": child.name, "state": state}
            log.info("device behind a connection", extra=found)
        child.is_news = False
        state = child.state if self._state is State.UP else self._state
        detail = child.absence if child.is_away else f"behind {self.name}"
        value: Value = {
            "state": state.value,
            "detail": detail if self._state is State.UP else f"{self.name} is {self._state.value}",
            "connection": self.name,
            "since_us": child.since_us,
            "last_reading_us": child.last_us,
            "messages": child.messages,
            "readings": child.readings,
            "faults": {**child.faults},
        }
        channel = self._child_channel(child.name)
        self._bus.publish(channel, Reading(self._clock.wall_us(), value))

    def _child_channel(self, name: str) -> Channel:
        channel = self._child_channels.get(name)
        if channel is None:
            # A configured device of this name, or one behind another connection, keeps its topic.
            topic = f"$sys/devices/{name}"
            if not self._bus.claim(topic):
                topic = f"$sys/devices/{self.name}:{name}"
            metadata = Metadata(ValueType.JSON, description=f"behind {self.name}", device=name)
            channel = self._child_channels[name] = self._bus.channel(topic, metadata)
        return channel
