"""Where a message came from, and how faults in it are quoted. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from sensord.decode.base import Fault, Sample, excerpt

__all__ = ["DEVICE", "Route", "field_excerpt", "from_source", "sample_excerpt"]


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
    scope: int = -1
    """The index of the filter that brought it, if filters have rules of their own."""
    places: tuple[tuple[str, str], ...] = ()
    """The decoded fields that identify its device, with their values."""
    group: str = ""
    """The common key of several sources that bring the same values; empty for none."""
    device: str = ""
    """Its device behind the connection; empty for the connection itself."""

    @property
    def key(self) -> Hashable:
        """What its channels have in common: the source, and the identity in the message."""
        source = self.group or self.source
        return (source, self.places) if self.places else source


DEVICE = Route("")
"""The device itself: what a stream has for its source."""


def from_source(fault: Fault, route: Route) -> Fault:
    """Return the source of a message in an operator's terms."""
    if not route.source:
        return fault
    parts = [f"from {route.source}", fault.detail]
    return fault._replace(detail="; ".join(part for part in parts if part))


def field_excerpt(route: Route, field_: str) -> bytes:
    """Quote a field's name under that of its source."""
    # A name may hold half a character, which has no UTF-8 form.
    return excerpt(f"{route.source}/{field_}".encode("utf-8", "backslashreplace"))


def sample_excerpt(sample: Sample, encoding: str) -> bytes:
    """Quote a value under its field's name, as the device wrote it."""
    came = sample.value if sample.text is None else sample.text
    unit = f" {sample.unit}" if sample.unit else ""
    return excerpt(f"{sample.field}={came}{unit}".encode(encoding, "backslashreplace"))
