"""The intake: one device's bytes become readings on the bus.

    bytes → framer → decoder → conform → publish policy → bus

Pure but for the bus it publishes to: times are arguments, nothing is logged, nothing waits. The
same intake serves a live device and a recording of its bytes, on the recording's own times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import NamedTuple, Protocol, TypeVar

from sensord.bus import Bus
from sensord.config.tree import ChannelRules, Device
from sensord.decode.base import (
    BAD_TIME,
    NOTHING,
    UNREAD,
    Dated,
    Decoder,
    Fault,
    Framer,
    Sample,
    Selective,
    Writer,
    Zoned,
    excerpt,
)
from sensord.device.conform import Rules, conform, infer_type
from sensord.device.fitting import NOT_A_NUMBER, Fit, Units, refusal
from sensord.device.mixture import SEVERAL_DEVICES, Mixture, mixture_of
from sensord.device.notation import DECIMAL, Notation
from sensord.device.policy import Policy, Publisher
from sensord.model.readings import (
    GOOD,
    LATEST_US,
    Channel,
    Kind,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Value,
    ValueType,
    make_reading,
)
from sensord.model.times import iso
from sensord.model.topics import expand, topic_fault

__all__ = ["DEVICE", "Intake", "Listener", "Route", "Totals"]

T = TypeVar("T")

MAX_IGNORED = 10_000
"""Fields that are remembered as ignored; others are looked up again each time."""

SHARE = 4
"""One MQTT topic, or one message of a stream, gets at most one part in this many of a device's
channels: what has thousands of keys must leave room for the others."""

MIN_SHARE = 16
"""However small ``max_channels`` is."""

MOST_TAKERS = 3
"""So many are named of those that have a device's channels."""

MAX_AWAY = 10_000
"""Names that are remembered as away; values that a broker kept for more of them are retained."""

DISCONNECTED = Quality(Level.BAD, Reason.DISCONNECTED)
RETAINED = Quality(Level.UNCERTAIN, Reason.RETAINED)
MISSING = Quality(Level.BAD, Reason.MISSING)

EVERY = Policy(policy="every")
"""What `event` channels get, whatever is configured: each one counts."""


ZONELESS_US = 600 * 10**6
"""A time without a zone is believed to be UTC if it is no further from the arrival: half an hour is
the least that zones differ by."""

UNCERTAIN_CLOCK = Quality(Level.UNCERTAIN, Reason.CLOCK)
"""Of a value whose time is that of a clock which was not set."""


class Route(NamedTuple):
    """Where a message came from and how its topic is made.

    ``source`` names the place it came from (an MQTT topic); all messages of one source have the
    same pattern, captures and ``depends_on``. ``pattern`` is the topic pattern for this source, or
    None for the device's own. ``captures`` fill ``{1}``, ``{2}``, ... in the pattern: what the
    wildcards stood for. ``is_retained`` marks a message that somebody kept, so that nobody knows
    how old it is. ``depends_on`` names what reports whether the source is there: see
    `Intake.availability`.
    """

    source: str
    pattern: str | None = None
    captures: tuple[str, ...] = ()
    is_retained: bool = False
    depends_on: tuple[str, ...] = ()


DEVICE = Route("")
"""The device itself: what a stream has for its source."""


@dataclass(slots=True)
class Totals:
    """What went through an intake since it was made."""

    messages: int = 0
    samples: int = 0
    readings: int = 0
    faults: Counter[str] = field(default_factory=Counter)


class _Tap:
    """One field of one source: its channel, rules and policy."""

    __slots__ = ("channel", "fit", "is_plain", "is_timed", "mixture", "publisher", "rules")

    def __init__(self, channel: Channel, fit: Fit, policy: Policy) -> None:
        self.channel = channel
        self.fit = fit
        self.is_plain = fit.is_plain
        self.rules = fit.rules
        self.publisher = Publisher(policy)
        self.is_timed = policy.needs_timer
        self.mixture: Mixture | None = None
        """Only of a field that may name the device that speaks."""


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
        self._earliest_us, self._latest_us = 0, LATEST_US
        self._is_time_refused = False
        self.is_clock_set = True
        """Whether the wall clock that comes with what arrives can be trusted."""
        self._device = device
        self._framer = framer
        self._decoder = decoder
        self._bus = bus
        self._on_fault = on_fault
        self._on_passed_over = on_passed_over
        able: object = decoder  # to more, perhaps, than every decoder is
        self._dated = able if isinstance(able, Dated) else None
        self._zoned = able if isinstance(able, Zoned) else None
        self._writer = able if isinstance(able, Writer) else None
        self.passed_over = able.passed_over if isinstance(able, Selective) else Counter[str]()
        """How often each part that the decoder does not know was passed over, by name."""
        self._named: set[str] = set()
        if any(_needs_text(rules) for rules in device.channels.values()):
            self._keep_text()
        # By source, then by field; None stands for a field that was refused.
        self._taps: dict[str, dict[str, _Tap | None]] = {}
        self._known = 0  # fields in all of them
        self._share = max(MIN_SHARE, device.max_channels // SHARE)
        self._room = device.max_channels
        """How many new fields the message at hand may still bring."""
        self._refused: list[str] = []
        """New fields of the message at hand that there is no room for."""
        self._ignored: set[str] = set()
        self._takers = ""
        self._timed: list[_Tap] = []
        self._described: dict[str, Metadata] = {}
        self._dependents: dict[str, list[str]] = {}
        """By availability topic, the sources that have taps."""
        self._away: set[str] = set()
        """What was reported as away; bounded by `MAX_AWAY`."""

    def describe(self, field_: str, metadata: Metadata) -> None:
        """Learn what is known of a field whose samples need no decoding."""
        if len(self._described) < self._device.max_channels:
            self._described[field_] = metadata

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
        self._room = self._share
        is_answer = self.listener is not None and self.listener.heard(message)
        if not message and route.source:
            self._withdraw(route, now_us, wall_us)
            return
        if self._decoder is None or not message:
            return
        decoded = self._decoder.decode(message)
        for fault in () if is_answer else decoded.faults:
            self.fault(_of_source(fault, route))
        if len(self.passed_over) > len(self._named):
            self._name_passed_over()
        self._believe(wall_us, is_zone_known=self._zoned is None or self._zoned.is_zone_known)
        samples = decoded.samples
        if self._dated is not None and self.is_clock_set:
            samples = self._dated.mend_dates(samples, wall_us)
        self._samples(route, samples, now_us, wall_us, is_answer=is_answer)

    def _believe(self, wall_us: int, *, is_zone_known: bool) -> None:
        """Set the bounds of the source times in a message that arrives."""
        self._is_time_refused = False
        if not self.is_clock_set:
            self._earliest_us, self._latest_us = 0, LATEST_US
            return
        behind_us = self._behind_us if is_zone_known else min(ZONELESS_US, self._behind_us)
        ahead_us = self._ahead_us if is_zone_known else min(ZONELESS_US, self._ahead_us)
        self._earliest_us = max(0, wall_us - behind_us)
        self._latest_us = min(LATEST_US, wall_us + ahead_us)

    def samples(self, route: Route, samples: Iterable[Sample], now_us: int, wall_us: int) -> None:
        """Take decoded values, whose times the reader answers for."""
        self._earliest_us, self._latest_us = 0, LATEST_US
        self._is_time_refused = False
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
        if route.is_retained:
            self._recall(route, samples, now_us, wall_us)
            return
        taps = self._taps.get(route.source, {})
        count, is_clock_set = 0, self.is_clock_set
        due: list[tuple[Channel, Reading]] = []
        seen: list[tuple[str, Value, Quality]] | None = None if self.listener is None else []
        for sample in samples:
            field_, value, quality, time_us, _, unit = sample
            count += 1
            tap = taps.get(field_) or self._opened(taps, route, sample, is_answer=is_answer)
            if tap is None:
                continue
            if tap.is_plain and unit is None and (type(value) is float or type(value) is int):
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
            at_us = wall_us if time_us is None else self._source_us(route, time_us, wall_us)
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
        self.totals.samples += count
        self.totals.readings += len(due)
        self._bus.publish_all(due, wall_us)
        if self._refused:
            self._report_refused(route)
        self._show(seen)

    def _source_us(self, route: Route, time_us: int, otherwise: T) -> int | T:
        """Return a source time, or what counts otherwise if it lies out of bounds."""
        if self._earliest_us <= time_us <= self._latest_us:
            return time_us
        if not self._is_time_refused:
            self._is_time_refused = True  # one message, one fault
            shown = f"{iso(time_us) or time_us} {route.source}".strip()
            self.fault(Fault(BAD_TIME, excerpt(shown.encode("utf-8", "backslashreplace"))))
        return otherwise

    def _show(self, seen: Iterable[tuple[str, Value, Quality]] | None) -> None:
        """Show what came, also what no policy let through: a state may confirm a command."""
        for topic, value, quality in seen or ():
            if self.listener is not None:
                self.listener.saw(topic, value, quality)

    def _recall(self, route: Route, samples: Iterable[Sample], now_us: int, wall_us: int) -> None:
        """Accept values that a broker kept: their age is unknown, and they confirm nothing."""
        taps = self._taps.get(route.source, {})
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
                time_us = self._source_us(route, time_us, None)
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
        if self._refused:
            self._report_refused(route)

    def _before_the_start(self, channel: Channel) -> Reading | None:
        record = self._bus.last(channel)
        return None if record is None else record.reading

    def _withdraw(self, route: Route, now_us: int, wall_us: int) -> None:
        """Report that the states of a source have no value any more: its message was empty."""
        gone = Reading(wall_us, None, MISSING)
        for tap in self._taps.get(route.source, {}).values():
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
        for source in self._dependents.get(name, ()):
            self._spoil(self._taps[source].values(), now_us, DISCONNECTED)

    def _fitted(
        self, tap: _Tap, route: Route, sample: Sample, *, is_answer: bool
    ) -> tuple[Value, Quality] | None:
        """Return a sample's value and quality as its channel's; None for what is no reading."""
        if sample.quality is NOTHING and not tap.fit.knows_nothing_as(sample.text):
            return None  # the device left it empty
        if tap.mixture is not None and (shown := tap.mixture.see(sample.field, sample.value)):
            self.fault(Fault(SEVERAL_DEVICES, _excerpt(route, sample.field), shown))
        value, quality = tap.fit.of(sample.value, sample.quality, sample.text, sample.unit)
        if value is None and self._is_refused(tap, route, sample, quality, is_answer=is_answer):
            return None
        return value, quality

    def _is_refused(
        self, tap: _Tap, route: Route, sample: Sample, quality: Quality, *, is_answer: bool
    ) -> bool:
        """Report a value that did not fit; return whether it is to be dropped as well.

        What confirms a command may be a word where numbers are due.
        """
        reason = refusal(tap.rules, quality)
        if reason is None or (sample.value is None and sample.text is None):
            return False
        if not is_answer:
            self.fault(_of_source(Fault(reason, self._quoted(sample)), route))
        return is_answer

    def _quoted(self, sample: Sample) -> bytes:
        came = sample.value if sample.text is None else sample.text
        unit = f" {sample.unit}" if sample.unit else ""
        encoding = "utf-8" if self._writer is None else self._writer.encoding
        return excerpt(f"{sample.field}={came}{unit}".encode(encoding, "backslashreplace"))

    def _name_passed_over(self) -> None:
        for name in self.passed_over:
            if name not in self._named:
                self._named.add(name)
                if self._on_passed_over is not None:
                    self._on_passed_over(name)

    def _keep_text(self) -> None:
        if self._writer is not None:
            self._writer.keep_text()

    def fault(self, fault: Fault) -> None:
        """Count and report what could not be understood."""
        self.totals.faults[fault.reason] += 1
        self._on_fault(fault)

    def _note_due(self, tap: _Tap) -> None:
        due_us = tap.publisher.due_us
        if due_us is not None and (self.due_us is None or due_us < self.due_us):
            self.due_us = due_us

    def tick(self, now_us: int) -> None:
        """Publish what has become due by itself."""
        self.due_us = None
        for tap in self._timed:
            self._publish(tap, tap.publisher.tick(now_us))
            self._note_due(tap)

    def spoil(self, now_us: int, quality: Quality) -> None:
        """Say of every state of this device that its last value now has ``quality``.

        Events are left alone: they happened, whatever became of the device.
        """
        for taps in self._taps.values():
            self._spoil(taps.values(), now_us, quality)

    def _spoil(self, taps: Iterable[_Tap | None], now_us: int, quality: Quality) -> None:
        for tap in taps:
            if tap is not None and not tap.channel.is_event:
                self._publish(tap, tap.publisher.spoil(now_us, quality))

    def _publish(self, tap: _Tap, reading: Reading | None) -> None:
        if reading is not None:
            self._bus.publish(tap.channel, reading)
            self.totals.readings += 1

    def _opened(
        self, taps: dict[str, _Tap | None], route: Route, sample: Sample, *, is_answer: bool
    ) -> _Tap | None:
        """Make the tap of a field that is seen for the first time, among those of its source.

        A device that sends garbage must not fill the bus with channels, nor this table with
        refusals: past the cap nothing is remembered. What says nothing of its field opens nothing.
        """
        field_ = sample.field
        if field_ in taps:
            return None  # refused before, and counted then
        if self._device.ignore and self._is_ignored(field_):
            return None
        rules = self._device.rules(field_)
        if sample.quality is NOTHING and not rules.missing:
            return None
        if sample.quality is UNREAD and not (rules.type or rules.is_number or rules.missing):
            if sample.text is not None and not is_answer:
                self.fault(_of_source(Fault(NOT_A_NUMBER, self._quoted(sample)), route))
            return None
        room = self._share - len(taps) if route.source else self._room
        if room <= 0 or self._known >= self._device.max_channels:
            self._refused.append(field_)
            return None
        self._known += 1
        self._room -= 1
        if not taps:
            self._taps[route.source] = taps
            for name in route.depends_on:
                self._dependents.setdefault(name, []).append(route.source)
        tap = taps[field_] = self._tap(route, sample, rules)
        return tap

    def _is_ignored(self, field_: str) -> bool:
        if field_ in self._ignored:
            return True
        if not any(fnmatchcase(field_, pattern) for pattern in self._device.ignore):
            return False
        if len(self._ignored) < MAX_IGNORED:
            self._ignored.add(field_)
        return True

    def _report_refused(self, route: Route) -> None:
        """Count every field that got no channel, and report once who has them and what helps."""
        refused, self._refused = self._refused, []
        most = self._device.max_channels
        if self._known >= most:
            # Nothing changes any more, so the list need be made but once.
            self._takers = self._takers or ", ".join(_takers(self._taps))
            reason, detail = "too many channels", f"max_channels = {most} are taken: {self._takers}"
        else:
            who = route.source or "one message"
            reason = "too many fields"
            detail = f"{who} brings more than {self._share}, its share of max_channels = {most}"
        detail += "; leave out what is not wanted with ignore"
        detail += " or ignore_topics" if route.source else ""
        detail += ", or raise max_channels"
        self.totals.faults[reason] += len(refused) - 1
        self.fault(Fault(reason, _excerpt(route, refused[0]), detail))

    def _tap(self, route: Route, sample: Sample, rules: ChannelRules) -> _Tap | None:
        field_ = sample.field
        topic = self._topic(rules.topic or route.pattern or self._device.topic, route, field_)
        if message := _unfit(topic):
            detail = f"it would get the topic {topic!a}: {message}; give it a topic pattern"
            self.fault(Fault("bad topic", _excerpt(route, field_), detail))
            return None
        if not self._bus.claim(topic):
            detail = f"{topic} has a field already; give this one a topic pattern of its own"
            self.fault(Fault("topic belongs to another field", _excerpt(route, field_), detail))
            return None
        told = self._decoder.metadata(field_) if self._decoder else self._described.get(field_)
        metadata = self._metadata(rules, told, sample)
        policy = EVERY if metadata.kind is Kind.EVENT else rules.publish
        channel = self._bus.channel(topic, metadata)
        fit = self._fit(rules, told, metadata)
        if fit.needs_text:
            self._keep_text()
        tap = _Tap(channel, fit, policy)
        tap.mixture = mixture_of(field_)
        tap.is_plain = fit.is_plain and tap.mixture is None
        if tap.is_timed:
            self._timed.append(tap)
        return tap

    def _fit(self, rules: ChannelRules, told: Metadata | None, metadata: Metadata) -> Fit:
        notation = Notation(
            base=rules.base,
            sign=rules.sign,
            bits=rules.bits,
            missing=rules.missing,
            decimal_comma=self._writer is not None and self._writer.decimal_comma,
        )
        units = Units(
            announced=metadata.unit,
            told=told.unit if told else "",
            is_scaled=rules.is_scaled,
            are_listed=self._writer is not None,
        )
        is_declared = rules.type is not None or rules.is_number or told is not None
        return Fit(_conform_rules(rules, metadata), notation, units, is_declared=is_declared)

    def _topic(self, pattern: str, route: Route, field_: str) -> str:
        """Make the topic of a field, which may be unfit.

        Sources may have empty levels (``/esp/kitchen``), which our topics have not: they are left
        out. An empty level of a field stays, and makes the topic unfit.
        """
        values = {"device": self._device.name, "field": field_, "source": route.source}
        values |= {str(i): text for i, text in enumerate(route.captures, 1)}
        levels = [_expanded(level, values) for level in pattern.split("/")]
        return "/".join(level for level in levels if level)

    def _metadata(self, rules: ChannelRules, told: Metadata | None, sample: Sample) -> Metadata:
        base = told or Metadata(type=_inferred(rules, sample.value))
        return Metadata(
            type=rules.type or base.type,
            unit=base.unit if rules.unit is None else rules.unit,
            decimals=base.decimals if rules.decimals is None else rules.decimals,
            kind=rules.kind if rules.kind is not Kind.STATE else base.kind,
            description=base.description if rules.description is None else rules.description,
            device=self._device.name,
        )


def _expanded(level: str, values: Mapping[str, str]) -> str:
    """Fill in a level of a pattern; empty levels of what is filled in are left out."""
    if level == "{field}":
        return values["field"] or "/"  # an empty field makes no topic
    try:
        return "/".join(one for one in expand(level, values).split("/") if one)
    except KeyError as missing:
        return f"{{{missing.args[0]}}}/"  # unfit, and it shows why


def _unfit(topic: str) -> str | None:
    """Return why a topic cannot be a field's, or None if it can."""
    if topic.startswith(("$", "state/")):
        return f"topics that begin with {'$' if topic[0] == '$' else 'state/'} are not for readings"
    return topic_fault(topic)


def _takers(taps: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Return who has the most channels: topics, or where each has few, the trees that they form."""
    counts = Counter({source: len(fields) for source, fields in taps.items()})
    total = counts.total()
    for depth in range(8, 0, -1):
        if max(counts.values()) * 2 * MOST_TAKERS > total:
            break
        trees: Counter[str] = Counter()
        for source, fields in taps.items():
            levels = source.split("/")
            trees["/".join([*levels[:depth], "#"]) if len(levels) > depth else source] += len(
                fields
            )
        counts = trees
    named = counts.most_common(MOST_TAKERS)
    return [f"{source or 'the device itself'} has {count}" for source, count in named]


def _is_same(known: Reading, value: Value, time_us: int | None) -> bool:
    """Tell whether a value is the one that is known already, as far as can be seen."""
    is_later = time_us is not None and time_us > known.time_us
    return type(known.value) is type(value) and known.value == value and not is_later


def _of_source(fault: Fault, route: Route) -> Fault:
    """Name where a message came from, for whoever must look there."""
    if not route.source:
        return fault
    parts = [f"from {route.source}", fault.detail]
    return fault._replace(detail="; ".join(part for part in parts if part))


def _inferred(rules: ChannelRules, value: Value) -> ValueType:
    """Return the type of a channel that declares none: a number if anything else says so."""
    inferred = infer_type(value)
    if not rules.is_number or inferred is ValueType.INT:
        return inferred
    is_whole = rules.base != DECIMAL and not rules.is_scaled and rules.decimals is None
    return ValueType.INT if is_whole else ValueType.FLOAT


def _needs_text(rules: ChannelRules) -> bool:
    is_plain = rules.base == DECIMAL and rules.sign == "none"
    return rules.type is ValueType.STRING or bool(rules.missing) or not is_plain


def _at_unset_clock(quality: Quality, time_us: int | None) -> Quality:
    """Return the quality of what comes while the wall clock cannot be trusted."""
    return UNCERTAIN_CLOCK if time_us is None and quality == GOOD else quality


def _excerpt(route: Route, field_: str) -> bytes:
    # A name may hold half a character, which has no UTF-8 form.
    return excerpt(f"{route.source}/{field_}".encode("utf-8", "backslashreplace"))


def _conform_rules(rules: ChannelRules, metadata: Metadata) -> Rules:
    low, high = rules.range or (None, None)
    return Rules(
        type=metadata.type,
        scale=rules.scale,
        offset=rules.offset,
        low=low,
        high=high,
        decimals=metadata.decimals,
    )
