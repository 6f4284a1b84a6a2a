"""The intake: one device's bytes become readings on the bus.

    bytes → framer → decoder → conform → publish policy → bus

Pure but for the bus it publishes to: times are arguments, nothing is logged, nothing waits. The
same intake serves a live device and a recording of its bytes, on the recording's own times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sensord.bus import Bus
from sensord.config.tree import Device
from sensord.decode.base import (
    NOTHING,
    Decoder,
    Fault,
    Framer,
    Sample,
    Selective,
    excerpt,
)
from sensord.device.children import Children
from sensord.device.conform import conform
from sensord.device.fitting import refusal
from sensord.device.message_path import MessagePath, identifier_of, message_paths
from sensord.device.mixture import SEVERAL_DEVICES
from sensord.device.route import DEVICE, Route, field_excerpt, from_source, sample_excerpt
from sensord.device.source_times import SourceTimes
from sensord.device.tap import Tap, TapMaker
from sensord.device.taps import Taps
from sensord.model.readings import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Value,
    make_reading,
)

__all__ = ["DEVICE", "Intake", "Listener", "Route", "Totals"]

T = TypeVar("T")

TOO_MANY_DEVICES = "too many devices"

MAX_AWAY = 10_000
"""Names that are remembered as away; values that a broker kept for more of them are retained."""

_INFINITY = float("inf")

DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)
RETAINED = Quality(Level.UNCERTAIN, Reason.RETAINED)
MISSING = Quality(Level.BAD, Reason.MISSING)

UNCERTAIN_CLOCK = Quality(Level.UNCERTAIN, Reason.CLOCK)
"""Of a value whose time is that of a clock which was not set."""


@dataclass(slots=True)
class Totals:
    """What went through an intake since it was made."""

    messages: int = 0
    samples: int = 0
    readings: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class Listener(Protocol):
    """An object that waits for a device's next output: a command in progress."""

    def on_message(self, message: bytes) -> bool:
        """Check a message; return whether it is an answer, which need not be decodable."""
        ...

    def on_value(self, topic: str, value: Value, quality: Quality) -> None:
        """Look at a value of a topic, whether it is published or not."""
        ...

    def recalled(self, topic: str, value: Value, quality: Quality) -> None:
        """Look at a value that a broker kept: it confirms nothing."""
        ...


class Intake:
    """Turns what one device sends into readings on the bus.

    ``on_fault`` gets each thing that could not be understood, ``on_passed_over`` the name of each
    part that is not known to the decoder, once; they may not raise.
    """

    def __init__(
        self,
        device: Device,
        framer: Framer,
        decoder: Decoder | None,
        bus: Bus,
        on_fault: Callable[[Fault], None],
        on_passed_over: Callable[[str], None] | None = None,
    ) -> None:
        self.totals = Totals()
        self._name = device.name
        self.due_us: int | None = None
        """When `tick` may have something to do, or None; it may be early, never late."""
        self.listener: Listener | None = None
        """Set only while a command waits: otherwise input is not examined twice."""
        self.times = SourceTimes(device, self.fault)
        self._framer = framer
        self._decoder = decoder
        self._bus = bus
        self._on_fault = on_fault
        self._on_passed_over = on_passed_over
        able: object = decoder  # to more, perhaps, than every decoder is
        self._is_selective = isinstance(able, Selective)
        self.passed_over = able.passed_over if isinstance(able, Selective) else Counter[str]()
        """How often each part that the decoder does not know was passed over, by name."""
        self._named: set[str] = set()
        self._maker = TapMaker(device, decoder, bus, self.fault)
        self._taps = Taps(device, self.fault)
        self._path = MessagePath(decoder, self._maker, identifier_of(device), "")
        self._paths = message_paths(device, decoder, bus, self.fault)
        self.children = Children(device.max_devices)
        """The devices behind the connection that messages have named."""
        self._away: set[str] = set()
        """What was reported as away; bounded by `MAX_AWAY`."""

    def describe(self, field_: str, metadata: Metadata, device: str = "") -> None:
        """Record the metadata of a field whose samples need no decoding."""
        self._maker.describe(field_, metadata, device)

    def expect(self, device: str, depends_on: str, wall_us: int) -> None:
        """Add a device that has not sent yet, and the source that will report it."""
        if device == self._name:
            return
        child = self.children.find(device, wall_us)
        if child is not None and not child.witnesses:
            child.witnesses.add(depends_on)

    def reset(self) -> None:
        """Forget an incomplete message, and what was away: the connection was interrupted."""
        self._framer.reset()
        self._away.clear()

    def data(self, data: bytes, now_us: int, wall_us: int) -> None:
        """Process the next bytes of a stream."""
        messages, faults = self._framer.feed(data)
        for fault in faults:
            self.fault(fault)
        for message in messages:
            self.message(DEVICE, message, now_us, wall_us)

    def message(self, route: Route, message: bytes, now_us: int, wall_us: int) -> None:
        """Process one whole message."""
        self.totals.messages += 1
        is_answer = self.listener is not None and self.listener.on_message(message)
        if not message:
            if route.source:
                self._withdraw(route, now_us, wall_us)
            return
        path = self._paths[route.scope] if self._paths and route.scope >= 0 else self._path
        if path.decoder is None:
            return
        if path.sourced is None:
            samples, faults = path.decoder.decode(message)
        else:
            samples, faults = path.sourced.decode_from(route.source, message)
        if faults and not is_answer:
            for fault in faults:
                self.fault(from_source(fault, route))
        if self._is_selective and len(self.passed_over) > len(self._named):
            self._name_passed_over()
        self.times.begin(path.zoned)
        if path.dated is not None and self.times.is_clock_set:
            samples = path.dated.mend_dates(samples, wall_us)
        if path.is_identifying:
            self._identify(path, route, samples, now_us, wall_us, is_answer=is_answer)
        elif route.is_retained:
            self._recall(path, route, samples, now_us, wall_us)
        else:
            self._samples(path, route, samples, now_us, wall_us, is_answer=is_answer)

    def _identify(
        self,
        path: MessagePath,
        route: Route,
        samples: Sequence[Sample],
        now_us: int,
        wall_us: int,
        *,
        is_answer: bool,
    ) -> None:
        """Process a message whose device is named in its topic or in itself."""
        found = path.identifier.of(route, samples)
        if found is None:
            return
        if isinstance(found, Fault):
            self.fault(from_source(found, route))
            return
        route, samples = found
        if path.field:
            samples = path.renamed(route, samples)
        child = self.children.find(route.device, wall_us) if route.device else None
        if route.device and child is None:
            detail = "raise max_devices, or ignore what is not wanted"
            self.fault(Fault(TOO_MANY_DEVICES, excerpt(route.device.encode()), detail))
            return
        before = self.totals.readings
        if route.is_retained:
            self._recall(path, route, samples, now_us, wall_us)
        else:
            self._samples(path, route, samples, now_us, wall_us, is_answer=is_answer)
        if child is not None:
            readings = self.totals.readings - before
            self.children.heard(child, route.depends_on, readings, wall_us)

    def samples(self, route: Route, samples: Iterable[Sample], now_us: int, wall_us: int) -> None:
        """Process decoded values, whose times the reader vouches for."""
        self.times.believe()
        path = self._path
        is_behind = route.device not in {"", self._name}
        child = self.children.find(route.device, wall_us) if is_behind else None
        before = self.totals.readings
        if route.is_retained:
            self._recall(path, route, samples, now_us, wall_us)
        else:
            self._samples(path, route, samples, now_us, wall_us, is_answer=False)
        if child is not None:
            readings = self.totals.readings - before
            self.children.heard(child, route.depends_on, readings, wall_us)

    def _samples(
        self,
        path: MessagePath,
        route: Route,
        samples: Iterable[Sample],
        now_us: int,
        wall_us: int,
        *,
        is_answer: bool,
    ) -> None:
        taps = self._taps.by_source.get(route.key, {})
        count, is_clock_set = 0, self.times.is_clock_set
        due: list[tuple[Channel, Reading]] = []
        seen: list[tuple[str, Value, Quality]] | None = None if self.listener is None else []
        for sample in samples:
            field_, value, quality, time_us, _, unit = sample
            count += 1
            tap = taps.get(field_) or self._opened(taps, path, route, sample, is_answer=is_answer)
            if tap is None:
                continue
            if (
                tap.takes_floats
                and type(value) is float
                and unit is None
                and -_INFINITY < value < _INFINITY
            ):
                pass  # most readings: nothing to do is decided once a channel
            elif tap.is_plain and unit is None and (type(value) is float or type(value) is int):
                value, quality = conform(tap.rules, value, quality)
                if value is None and self._is_refused(
                    tap, route, sample, quality, is_answer=is_answer
                ):
                    continue
            else:
                fitted = self._fitted(tap, route, sample, is_answer=is_answer)
                if fitted is None:
                    count -= 1
                    continue
                value, quality = fitted
            at_us = (
                wall_us
                if time_us is None
                else self.times.believed(route, time_us, wall_us, wall_us)
            )
            if not is_clock_set:
                quality = _at_unset_clock(quality, time_us)
            reading = make_reading((at_us, value, quality, False))
            offered = tap.publisher.offer(now_us, reading)
            if offered is not None:
                due.append((tap.channel, offered))
            if tap.is_timed:
                self._note_due(tap)
            if seen is not None:
                seen.append((tap.channel.topic, value, quality))
        totals = self.totals
        totals.samples += count
        totals.readings += len(due)
        self._bus.publish_all(due, wall_us)
        if self._taps.refused or seen:
            self._report(route, seen or ())

    def _report(self, route: Route, seen: Iterable[tuple[str, Value, Quality]] = ()) -> None:
        """Report the fields that got no channel, and show the listener what came.

        That is also what no policy let through: a state may confirm a command.
        """
        if self._taps.refused:
            self._report_refused(route)
        for topic, value, quality in seen:
            if self.listener is not None:
                self.listener.on_value(topic, value, quality)

    def _recall(
        self, path: MessagePath, route: Route, samples: Iterable[Sample], now_us: int, wall_us: int
    ) -> None:
        """Accept values that a broker kept: their age is unknown, and they confirm nothing."""
        taps = self._taps.by_source.get(route.key, {})
        at_best = RETAINED if self._away.isdisjoint(route.depends_on) else DISCONNECTED
        due: list[tuple[Channel, Reading]] = []
        for sample in samples:
            self.totals.samples += 1
            tap = taps.get(sample.field) or self._opened(taps, path, route, sample, is_answer=False)
            fitted = None if tap is None else self._fitted(tap, route, sample, is_answer=False)
            if tap is None or fitted is None:
                continue
            value, quality = fitted
            time_us = sample.time_us
            if time_us is not None:
                time_us = self.times.believed(route, time_us, wall_us, None)
            quality = quality if quality.level is Level.BAD else at_best
            if self.listener is not None:
                self.listener.recalled(tap.channel.topic, value, quality)
            known = tap.publisher.last or self._before_the_start(tap.channel)
            reading = Reading(wall_us if time_us is None else time_us, value, quality)
            if known is not None and _is_same(known, value, time_us):
                if tap.channel.is_event:
                    continue  # it has been counted
                reading = known._replace(quality=quality, restates=True)
            recalled = tap.publisher.recall(now_us, reading)
            if recalled is not None:
                due.append((tap.channel, recalled))
        self.totals.readings += len(due)
        self._bus.publish_all(due, wall_us)
        self._report(route)

    def _before_the_start(self, channel: Channel) -> Reading | None:
        record = self._bus.last(channel)
        return None if record is None else record.reading

    def _withdraw(self, route: Route, now_us: int, wall_us: int) -> None:
        """Report that the states of a source have no value any more: its message was empty."""
        gone = Reading(wall_us, None, MISSING)
        for tap in self._taps.by_source.get(route.key, {}).values():
            if tap is not None and not tap.channel.is_event:
                self._publish(tap, tap.publisher.withdraw(now_us, gone))

    def topics(self) -> set[str]:
        """Return the topics of all channels that were opened."""
        taps = [tap for own in self._taps.by_source.values() for tap in own.values()]
        return {tap.channel.topic for tap in taps if tap is not None}

    def is_away(self, name: str) -> bool:
        """Return whether ``name`` reported its sources as away."""
        return name in self._away

    def away(self) -> list[str]:
        """Return the availability topics that report their devices as offline."""
        return sorted(self._away)

    def availability(self, name: str, now_us: int, wall_us: int, *, is_there: bool) -> None:
        """Accept what ``name`` reports of the sources that depend on it.

        Those that are away turn bad; those that are back wait for their next value.
        """
        self.children.report(name, wall_us, is_there=is_there)
        if is_there:
            self._away.discard(name)
            return
        if len(self._away) < MAX_AWAY:
            self._away.add(name)
        self._spoil(self._taps.dependents(name), now_us, DISCONNECTED)

    def _fitted(
        self, tap: Tap, route: Route, sample: Sample, *, is_answer: bool
    ) -> tuple[Value, Quality] | None:
        """Return a sample's value and quality as its channel's; None for what is no reading."""
        if sample.quality is NOTHING and not tap.fit.knows_nothing_as(sample.text):
            return None  # the device left it empty
        if tap.mixture is not None and (shown := tap.mixture.see(sample.field, sample.value)):
            self.fault(Fault(SEVERAL_DEVICES, field_excerpt(route, sample.field), shown))
        value, quality = tap.fit.of(sample.value, sample.quality, sample.text, sample.unit)
        if value is None and self._is_refused(tap, route, sample, quality, is_answer=is_answer):
            return None
        return value, quality

    def _is_refused(
        self, tap: Tap, route: Route, sample: Sample, quality: Quality, *, is_answer: bool
    ) -> bool:
        """Report a value that did not fit; return whether it is to be dropped as well.

        What confirms a command may be a word where numbers are due.
        """
        reason = refusal(tap.rules, quality)
        if reason is None or (sample.value is None and sample.text is None):
            return False
        if not is_answer:
            self.fault(
                from_source(Fault(reason, sample_excerpt(sample, self._maker.encoding)), route)
            )
        return is_answer

    def _name_passed_over(self) -> None:
        for name in self.passed_over:
            if name not in self._named:
                self._named.add(name)
                if self._on_passed_over is not None:
                    self._on_passed_over(name)

    def _opened(
        self,
        taps: dict[str, Tap | None],
        path: MessagePath,
        route: Route,
        sample: Sample,
        *,
        is_answer: bool,
    ) -> Tap | None:
        message = self.totals.messages
        return self._taps.open(
            taps, path.maker, route, sample, message=message, is_answer=is_answer
        )

    def _report_refused(self, route: Route) -> None:
        """Count every field that got no channel, and report once."""
        fault, count = self._taps.take_refused(route)
        self.totals.faults[fault.reason] += count - 1
        self.fault(fault)

    def fault(self, fault: Fault) -> None:
        """Count and report what could not be understood."""
        self.totals.faults[fault.reason] += 1
        self._on_fault(fault)

    def _note_due(self, tap: Tap) -> None:
        due_us = tap.publisher.due_us
        if due_us is not None and (self.due_us is None or due_us < self.due_us):
            self.due_us = due_us

    def tick(self, now_us: int) -> None:
        """Publish what has become due by itself."""
        self.due_us = None
        for tap in self._taps.timed:
            self._publish(tap, tap.publisher.tick(now_us))
            self._note_due(tap)

    def spoil(self, now_us: int, quality: Quality) -> None:
        """Publish every state of this device with its last value under ``quality``.

        Events are left alone: they happened, whatever the device's state.
        """
        for taps in self._taps.by_source.values():
            self._spoil(taps.values(), now_us, quality)

    def _spoil(self, taps: Iterable[Tap | None], now_us: int, quality: Quality) -> None:
        for tap in taps:
            if tap is not None and not tap.channel.is_event:
                self._publish(tap, tap.publisher.spoil(now_us, quality))

    def _publish(self, tap: Tap, reading: Reading | None) -> None:
        if reading is not None:
            self._bus.publish(tap.channel, reading)
            self.totals.readings += 1


def _is_same(known: Reading, value: Value, time_us: int | None) -> bool:
    """Return whether a value is the one that is known already, as far as can be seen."""
    is_later = time_us is not None and time_us > known.time_us
    return type(known.value) is type(value) and known.value == value and not is_later


def _at_unset_clock(quality: Quality, time_us: int | None) -> Quality:
    """Return the quality of what comes while the wall clock cannot be trusted."""
    return UNCERTAIN_CLOCK if time_us is None and quality == GOOD else quality
