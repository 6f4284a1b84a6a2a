"""The configuration of single channels."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from sensord.config.schema import Scalar, Within
from sensord.device.notation import DECIMAL, Sign
from sensord.device.policy import Policy
from sensord.model.readings import Kind, ValueType
from sensord.model.topics import pattern_fault
from sensord.model.units import unit_fault

__all__ = ["ChannelRules", "rules_of"]


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """The configuration of one field's channel."""

    type: ValueType | None = None
    unit: str | None = None
    decimals: Annotated[int, Within(0, 15)] | None = None
    kind: Kind = Kind.STATE
    description: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    range: tuple[float, ...] = ()
    missing: tuple[Scalar, ...] = ()
    values: dict[str, Scalar] = field(default_factory=dict)
    """The device's word, and the channel's value for it."""
    base: Literal[10, 2, 8, 16] = 10
    sign: Sign = "none"
    bits: Annotated[int, Within(2, 64)] | None = None
    topic: str = ""
    publish: Policy = Policy()

    @property
    def is_scaled(self) -> bool:
        """Whether the values that leave are others than the device's."""
        return self.scale != 1.0 or self.offset != 0.0

    @property
    def declared_type(self) -> ValueType | None:
        """The type that is declared, or that all the ``values`` have."""
        kinds = {type(one) for one in self.values.values()}
        if self.type is not None or not kinds:
            return self.type
        if kinds == {bool}:
            return ValueType.BOOL
        return ValueType.STRING if str in kinds else ValueType.FLOAT

    @property
    def is_number(self) -> bool:
        """Whether the channel is one of numbers by what is declared beside its type."""
        is_noted = self.base != DECIMAL or self.sign != "none"
        is_ruled = self.is_scaled or bool(self.range) or self.decimals is not None
        return bool(self.unit) or is_ruled or is_noted

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a unit that no program knows, and what has no effect or is only half declared."""
        if self.unit and (message := unit_fault(self.unit)):
            yield "unit", message
        if self.type in {ValueType.STRING, ValueType.BOOL, ValueType.JSON}:
            for key in ("scale", "offset", "decimals", "range"):
                if getattr(self, key) not in {1.0 if key == "scale" else 0.0, None, ()}:
                    yield key, f"has no effect: it is for numbers, and type is {self.type}"
        elif self.type is None and not self.is_number and self.missing:
            yield "missing", "the first value decides whether this is a number; declare its type"
        if self.base != DECIMAL and self.sign != "none" and self.bits is None:
            yield "sign", "has as many bits as the digits that come, unless bits says how many"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if self.range and (len(self.range) != 2 or self.range[0] > self.range[1]):  # noqa: PLR2004  # a pair
            yield "range", "expected [lowest, highest]"
        if not self.scale:
            yield "scale", "may not be 0: every value would be lost"
        if self.topic and (message := pattern_fault(self.topic)):
            yield "topic", message
        kinds = {
            "text" if isinstance(one, str) else type(one) is bool for one in self.values.values()
        }
        if len(kinds) > 1:
            yield "values", "must all be of one type: true and false, numbers, or texts"
        if self.values and self.base != DECIMAL:
            yield "values", "give values or base, not both"
        yield from self._notation_faults()

    def _notation_faults(self) -> Iterator[tuple[str, str]]:
        is_number = self.type in {None, ValueType.FLOAT, ValueType.INT}
        if not is_number and (self.base != DECIMAL or self.sign != "none"):
            key = "base" if self.base != DECIMAL else "sign"
            yield key, f"is for numbers, and type is {self.type}"
        if self.sign != "none" and self.base == DECIMAL and self.bits is None:
            yield "sign", "needs bits: how many the device's whole numbers have"
        if self.bits is not None and self.sign == "none":
            yield "bits", "needs a sign"


def rules_of(channels: Mapping[str, ChannelRules], name: str) -> ChannelRules | None:
    """Return the rules of a field: by its own name, else by the first pattern that matches."""
    exact = channels.get(name)
    if exact is not None:
        return exact
    fitting = (rules for pattern, rules in channels.items() if fnmatch.fnmatchcase(name, pattern))
    return next(fitting, None)
