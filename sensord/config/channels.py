"""What a configuration says of single channels."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from sensord.config.schema import Within
from sensord.device.policy import Policy
from sensord.model.readings import Kind, ValueType
from sensord.model.topics import pattern_fault
from sensord.model.units import unit_fault

__all__ = ["ChannelRules", "rules_of"]


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What the configuration says of one field's channel."""

    type: ValueType | None = None
    unit: str | None = None
    decimals: Annotated[int, Within(0, 15)] | None = None
    kind: Kind = Kind.STATE
    description: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    range: tuple[float, ...] = ()
    topic: str = ""
    publish: Policy = Policy()

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a unit that no program knows."""
        if self.unit and (message := unit_fault(self.unit)):
            yield "unit", message

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if self.range and (len(self.range) != 2 or self.range[0] > self.range[1]):  # noqa: PLR2004  # a pair
            yield "range", "expected [lowest, highest]"
        if not self.scale:
            yield "scale", "may not be 0: every value would be lost"
        if self.topic and (message := pattern_fault(self.topic)):
            yield "topic", message


def rules_of(channels: Mapping[str, ChannelRules], name: str) -> ChannelRules | None:
    """Return what is said of a field: by its own name, else by the first pattern that fits."""
    exact = channels.get(name)
    if exact is not None:
        return exact
    fitting = (rules for pattern, rules in channels.items() if fnmatch.fnmatchcase(name, pattern))
    return next(fitting, None)
