"""Open the channel of one field of one source, with its rules and its policy: a *tap*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from sensord.bus import Bus
from sensord.config.channels import ChannelRules, rules_of
from sensord.config.scopes import Scope
from sensord.config.tree import Device
from sensord.decode.base import Decoder, Fault, Sample, UnitLister, Writer
from sensord.device.conform import Rules, infer_type
from sensord.device.fitting import Fit, Units
from sensord.device.mixture import Mixture, mixture_of
from sensord.device.notation import DECIMAL, Notation
from sensord.device.policy import Policy, Publisher
from sensord.device.route import Route, field_excerpt
from sensord.model.conversions import meaning
from sensord.model.readings import Channel, Kind, Metadata, Value, ValueType
from sensord.model.topics import expand, topic_fault

__all__ = ["Tap", "TapMaker"]

MAX_IGNORED = 10_000
"""Fields that are remembered as ignored; others are looked up again each time."""

EVERY = Policy(policy="every")
"""The policy of `event` channels, whatever is configured: each one counts."""


class Tap:
    """One field of one source: its channel, rules and policy."""

    __slots__ = (
        "channel",
        "fit",
        "is_plain",
        "is_timed",
        "mixture",
        "publisher",
        "rules",
        "takes_floats",
    )

    def __init__(self, channel: Channel, fit: Fit, policy: Policy, mixture: Mixture | None) -> None:
        self.channel = channel
        self.fit = fit
        self.rules = fit.rules
        self.publisher = Publisher(policy)
        self.is_timed = policy.needs_timer
        self.mixture = mixture
        """Only of a field that may name the device that speaks."""
        self.is_plain = fit.is_plain and mixture is None
        """Whether a number in no unit of its own goes straight to `conform`."""
        self.takes_floats = self.is_plain and fit.rules.passes_floats
        """Whether `conform` would pass every finite float of those as it is."""


class TapMaker:
    """Makes the taps of one device, each once.

    ``on_fault`` gets the reason where a field can have none.
    """

    def __init__(
        self,
        device: Device,
        decoder: Decoder | None,
        bus: Bus,
        on_fault: Callable[[Fault], None],
        scope: Scope | None = None,
    ) -> None:
        """``scope`` is that of the filter whose messages these are."""
        self._device = device
        self._scope = scope or Scope()
        self._ignore = (*device.ignore, *self._scope.ignore)
        self._ignored: set[str] = set()
        self._decoder = decoder
        able: object = decoder  # to more, perhaps, than every decoder is
        self._writer = able if isinstance(able, Writer) else None
        self._bus = bus
        self._on_fault = on_fault
        self._described: dict[tuple[str, str], Metadata] = {}
        all_rules = (*device.channels.values(), *self._scope.channels.values())
        if any(_needs_text(rules) for rules in all_rules):
            self.keep_text()

    def rules(self, field_: str, device: str = "") -> ChannelRules:
        """Return what is declared of a field: by its filter, else by the device."""
        return rules_of(self._scope.channels, field_) or self._device.rules(field_, device)

    def ignores(self, field_: str) -> bool:
        """Return whether a field is to be left out."""
        if not self._ignore or field_ in self._ignored:
            return bool(self._ignore)
        if not any(fnmatchcase(field_, pattern) for pattern in self._ignore):
            return False
        if len(self._ignored) < MAX_IGNORED:
            self._ignored.add(field_)
        return True

    @property
    def encoding(self) -> str:
        """That of the device's text."""
        return "utf-8" if self._writer is None else self._writer.encoding

    def keep_text(self) -> None:
        """Have the decoder hand on how values were written."""
        if self._writer is not None:
            self._writer.keep_text()

    def describe(self, field_: str, metadata: Metadata, device: str = "") -> None:
        """Accept what is known of a field whose samples need no decoding."""
        if len(self._described) < self._device.max_channels:
            self._described[device, field_] = metadata

    def make(self, route: Route, sample: Sample, rules: ChannelRules) -> Tap | None:
        """Make the tap of a new field, or report why there is none."""
        field_ = sample.field
        topic = self._topic(rules.topic or route.pattern or self._device.topic, route, field_)
        if message := _unfit(topic):
            detail = f"it would get the topic {topic!a}: {message}; give it a topic pattern"
            self._on_fault(Fault("bad topic", field_excerpt(route, field_), detail))
            return None
        if not self._bus.claim(topic):
            detail = f"{topic} has a field already; give this one a topic pattern of its own"
            self._on_fault(
                Fault("topic belongs to another field", field_excerpt(route, field_), detail)
            )
            return None
        if self._decoder is not None:
            described = self._decoder.metadata(field_)
        else:
            described = self._described.get((route.device, field_))
        metadata = self._metadata(rules, described, sample, route.device or self._device.name)
        policy = EVERY if metadata.kind is Kind.EVENT else rules.publish
        channel = self._bus.channel(topic, metadata)
        fit = self._fit(rules, described, metadata)
        if fit.needs_text:
            self.keep_text()
        return Tap(channel, fit, policy, mixture_of(field_))

    def _fit(self, rules: ChannelRules, described: Metadata | None, metadata: Metadata) -> Fit:
        notation = Notation(
            base=rules.base,
            sign=rules.sign,
            bits=rules.bits,
            missing=rules.missing,
            values=rules.values,
            decimal_comma=self._writer is not None and self._writer.decimal_comma,
        )
        able: object = self._decoder
        units = Units(
            announced=metadata.unit,
            decoded=described.unit if described else "",
            is_scaled=rules.is_scaled,
            are_listed=isinstance(able, UnitLister) and able.lists_units,
        )
        is_declared = rules.declared_type is not None or rules.is_number or described is not None
        return Fit(_conform_rules(rules, metadata), notation, units, is_declared=is_declared)

    def _topic(self, pattern: str, route: Route, field_: str) -> str:
        """Make the topic of a field, which may be unfit.

        Sources may have empty levels (``/esp/kitchen``), which our topics have not: they are left
        out. An empty level of a field stays, and makes the topic unfit.
        """
        device = route.device or self._device.name
        values = {"device": device, "field": field_, "source": route.source}
        values |= {str(i): text for i, text in enumerate(route.captures, 1)}
        values |= dict(route.places)
        levels = [_expanded(level, values) for level in pattern.split("/")]
        return "/".join(level for level in levels if level)

    def _metadata(
        self, rules: ChannelRules, described: Metadata | None, sample: Sample, device: str
    ) -> Metadata:
        inferred = _inferred(rules, sample.value)
        base = described or Metadata(type=inferred, unit="" if rules.is_scaled else _unit(sample))
        return Metadata(
            type=rules.declared_type or base.type,
            unit=base.unit if rules.unit is None else rules.unit,
            decimals=base.decimals if rules.decimals is None else rules.decimals,
            kind=rules.kind if rules.kind is not Kind.STATE else base.kind,
            description=base.description if rules.description is None else rules.description,
            device=device,
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


def _inferred(rules: ChannelRules, value: Value) -> ValueType:
    """Return the type of a channel that declares none: a number if other rules imply it."""
    inferred = infer_type(value)
    if not rules.is_number:
        return inferred
    if rules.is_scaled or rules.decimals is not None:
        return ValueType.FLOAT
    is_whole = rules.base != DECIMAL or inferred is ValueType.INT
    return ValueType.INT if is_whole else ValueType.FLOAT


def _unit(sample: Sample) -> str:
    """Return the unit that came with a channel's first number, as a UCUM code if there is one."""
    is_number = type(sample.value) in {int, float}
    return (meaning(sample.unit) or "") if sample.unit and is_number else ""


def _needs_text(rules: ChannelRules) -> bool:
    is_plain = rules.base == DECIMAL and rules.sign == "none"
    is_worded = bool(rules.missing or rules.values)
    return rules.type is ValueType.STRING or is_worded or not is_plain


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
