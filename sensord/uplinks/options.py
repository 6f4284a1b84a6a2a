"""The options that every uplink has, whatever it delivers to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Duration, Size, Within
from sensord.model.topics import filter_fault

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """What is sent, and how fast."""

    topics: tuple[str, ...] = ("#",)
    start: Literal["now", "oldest"] = "now"
    """Where an uplink that is new begins: with the next reading, or the oldest in the journal."""
    interval: Annotated[Duration, Within(0.02, 3600)] = 1.0
    """How often readings are sent: so long a reading may wait."""
    period: Annotated[Duration, Within(0, 3600)] = 0.0
    """At most one value of each state topic is sent in this time: the newest."""
    deadband: Annotated[float, Within(0, 1e300)] = 0.0
    """A value that differs by less from the one sent last is not sent."""
    bandwidth: Annotated[Size, Within(1024, 2**40)] = 2**40
    """Bytes a second for what has accumulated during an outage."""
    enabled: bool = True

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield invalid filters."""
        if not self.topics:
            yield "topics", 'name at least one filter, such as "plant/#"'
        for pattern in self.topics:
            if message := filter_fault(pattern):
                yield "topics", f'"{pattern}": {message}'
