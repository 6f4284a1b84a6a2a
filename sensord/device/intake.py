"""The intake: one device's bytes become readings on the bus.

    bytes → framer → decoder → conform → publish policy → bus

Pure but for the bus it publishes to: times are arguments, nothing is logged, nothing waits. The
same intake serves a live device and a recording of its bytes, on the recording's own times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sensord.bus import Bus
from sensord.config.tree import Device
from sensord.decode.base import (
    BAD_TIME,
    NOTHING,
    Dated,
    Decoder,
    Fault,
    Framer,
    Sample,
    Selective,
    Zoned,
    excerpt,
)
from sensord.device.conform import conform
from sensord.device.fitting import refusal
from sensord.device.mixture import SEVERAL_DEVICES
from sensord.device.route import DEVICE, Route, field_excerpt, from_source, sample_excerpt
from sensord.device.tap import Tap, TapMaker
from sensord.device.taps import Taps
from sensord.model.readings import (
    GOOD,
    LATEST_US,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Value,
    make_reading,
)
from sensord.model.times import iso

__all__ = ["DEVICE", "Intake", "Listener", "Route", "Totals"]

T = TypeVar("T")

MAX_AWAY = 10_000
"""Names that are remembered as away; values that a broker kept for more of them are retained."""

_INFINITY = float("inf")

DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)
RETAINED = Quality(Level.UNCERTAIN, Reason.RETAINED)
MISSING = Quality(Level.BAD, Reason.MISSING)

ZONELESS_US = 600 * 10**6
"""A time without a zone is believed to be UTC if it is no further from the arrival: half an hour is
the least that zones differ by."""

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
    """Somebody who waits for what the device says next: a command that is under way."""

    def heard(self, message: bytes) -> bool:
        """Look at a message; tell whether it is an answer, which need not be decodable."""
        ...

    def saw(self, topic: str, value: Value, quality: Quality) -> None:
        """Look at a value of a topic, whether it is published or not."""
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
        self.due_us: int | None = None
        """When `tick` may have something to do, or None; it may be early, never late."""
        self.listener: Listener | None = None
        """Only while somebody waits: at other times what comes is not looked at twice."""
        self._behind_us = int(device.time_behind * 1e6)
        self._ahead_us = int(device.time_ahead * 1e6)
        self._bounds_us: tuple[int, int] | None = None
        """Of the source times in the message at hand; None until one is looked at."""
        self._is_time_refused = False
        self.is_clock_set = True
        """Whether the wall clock that comes with what arrives can be trusted."""
        self._framer = framer
        self._decoder = decoder
        self._bus = bus
        self._on_fault = on_fault
        self._on_passed_over = on_passed_over
        able: object = decoder  # to more, perhaps, than every decoder is
        self._dated = able if isinstance(able, Dated) else None
        self._zoned = able if isinstance(able, Zoned) else None
        self._is_selective = isinstance(able, Selective)
        self.passed_over = able.passed_over if isinstance(able, Selective) else Counter[str]()
        """How often each part that the decoder does not know was passed over, by name."""
        self._named: set[str] = set()
        self._maker = TapMaker(device, decoder, bus, self.fault)
        self._taps = Taps(device, self._maker, self.fault)
        self._away: set[str] = set()
        """What was reported as away; bounded by `MAX_AWAY`."""

    def describe(self, field_: str, metadata: Metadata) -> None:
        """Learn what is known of a field whose samples need no decoding."""
        self._maker.describe(field_, metadata)

    def reset(self) -> None:
        """Forget an incomplete message, and what was away: the connection was interrupted."""
        self._framer.reset()
        self._away.clear()

    def data(self, data: bytes, now_us: int, wall_us: int) -> None:
        """Take the next bytes of a stream."""
        messages, faults = self._framer.feed(data)
        for fault in faults:
            self.fault(fault)
        for message in messages:
            self.message(DEVICE, message, now_us, wall_us)

    def message(self, route: Route, message: bytes, now_us: int, wall_us: int) -> None:
        """Take one whole message."""
        self.totals.messages += 1
        is_answer = self.listener is not None and self.listener.heard(message)
        if not message:
            if route.source:
                self._withdraw(route, now_us, wall_us)
            return
        if self._decoder is None:
            return
        samples, faults = self._decoder.decode(message)
        if faults and not is_answer:
            for fault in faults:
                self.fault(from_source(fault, route))
        if self._is_selective and len(self.passed_over) > len(self._named):
            self._name_passed_over()
        self._bounds_us = None
        if self._dated is not None and self.is_clock_set:
            samples = self._dated.mend_dates(samples, wall_us)
        if route.is_retained:
            self._recall(route, samples, now_us, wall_us)
        else:
            self._samples(route, samples, now_us, wall_us, is_answer=is_answer)

    def _believed_us(self, wall_us: int) -> tuple[int, int]:
        """Return the bounds of the source times in a message that arrives."""
        if not self.is_clock_set:
            return 0, LATEST_US
        is_zone_known = self._zoned is None or self._zoned.is_zone_known
        behind_us = self._behind_us if is_zone_known else min(ZONELESS_US, self._behind_us)
        ahead_us = self._ahead_us if is_zone_known else min(ZONELESS_US, self._ahead_us)
        return max(0, wall_us - behind_us), min(LATEST_US, wall_us + ahead_us)

    def samples(self, route: Route, samples: Iterable[Sample], now_us: int, wall_us: int) -> None:
        """Take decoded values, whose times the reader answers for."""
        self._bounds_us = 0, LATEST_US
        self._is_time_refused = False
        if route.is_retained:
            self._recall(route, samples, now_us, wall_us)
        else:
            self._samples(route, samples, now_us, wall_us, is_answer=False)

    def _samples(
        self,
        route: Route,
        samples: Iterable[Sample],
        now_us: int,
        wall_us: int,
        *,
        is_answer: bool,
    ) -> None:
        taps = self._taps.by_source.get(route.source, {})
        count, is_clock_set = 0, self.is_clock_set
        due: list[tuple[Channel, Reading]] = []
        seen: list[tuple[str, Value, Quality]] | None = None if self.listener is None else []
        for sample in samples:
            field_, value, quality, time_us, _, unit = sample
            count += 1
            tap = taps.get(field_) or self._opened(taps, route, sample, is_answer=is_answer)
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
                wall_us if time_us is None else self._source_us(route, time_us, wall_us, wall_us)
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

    def _source_us(self, route: Route, time_us: int, wall_us: int, otherwise: T) -> int | T:
        """Return a source time, or what counts otherwise if it lies out of bounds."""
        if self._bounds_us is None:
            self._bounds_us = self._believed_us(wall_us)
            self._is_time_refused = False
        earliest_us, latest_us = self._bounds_us
        if earliest_us <= time_us <= latest_us:
            return time_us
        if not self._is_time_refused:
            self._is_time_refused = True  # one message, one fault
            shown = f"{iso(time_us) or time_us} {route.source}".strip()
            self.fault(Fault(BAD_TIME, excerpt(shown.encode("utf-8", "backslashreplace"))))
        return otherwise

    def _report(self, route: Route, seen: Iterable[tuple[str, Value, Quality]] = ()) -> None:
        """Report the fields that got no channel, and show the listener what came.

        That is also what no policy let through: a state may confirm a command.
        """
        if self._taps.refused:
            self._report_refused(route)
        for topic, value, quality in seen:
            if self.listener is not None:
                self.listener.saw(topic, value, quality)

    def _recall(self, route: Route, samples: Iterable[Sample], now_us: int, wall_us: int) -> None:
        """Accept values that a broker kept: their age is unknown, and they confirm nothing."""
        taps = self._taps.by_source.get(route.source, {})
        at_best = RETAINED if self._away.isdisjoint(route.depends_on) else DISCONNECTED
        due: list[tuple[Channel, Reading]] = []
        for sample in samples:
            self.totals.samples += 1
            tap = taps.get(sample.field) or self._opened(taps, route, sample, is_answer=False)
            fitted = None if tap is None else self._fitted(tap, route, sample, is_answer=False)
            if tap is None or fitted is None:
                continue
            value, quality = fitted
            time_us = sample.time_us
            if time_us is not None:
                time_us = self._source_us(route, time_us, wall_us, None)
            quality = quality if quality.level is Level.BAD else at_best
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
        for tap in self._taps.by_source.get(route.source, {}).values():
            if tap is not None and not tap.channel.is_event:
                self._publish(tap, tap.publisher.withdraw(now_us, gone))

    def is_away(self, name: str) -> bool:
        """Tell whether ``name`` reported its sources as away."""
        return name in self._away

    def away(self) -> list[str]:
        """Return the availability topics that report their devices as offline."""
        return sorted(self._away)

    def availability(self, name: str, now_us: int, *, is_there: bool) -> None:
        """Accept what ``name`` reports of the sources that depend on it.

        Those that are away turn bad; those that are back wait for their next value.
        """
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
        self, taps: dict[str, Tap | None], route: Route, sample: Sample, *, is_answer: bool
    ) -> Tap | None:
        message = self.totals.messages
        return self._taps.open(taps, route, sample, message=message, is_answer=is_answer)

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
        """Say of every state of this device that its last value now has ``quality``.

        Events are left alone: they happened, whatever became of the device.
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
    """Tell whether a value is the one that is known already, as far as can be seen."""
    is_later = time_us is not None and time_us > known.time_us
    return type(known.value) is type(value) and known.value == value and not is_later


def _at_unset_clock(quality: Quality, time_us: int | None) -> Quality:
    """Return the quality of what comes while the wall clock cannot be trusted."""
    return UNCERTAIN_CLOCK if time_us is None and quality == GOOD else quality
