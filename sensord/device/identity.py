"""Name the device that a message is of, and its topics, from what the message holds. Pure.

A receiver or a gateway passes on what many devices send, with an id in each message: a level of its
MQTT topic, a column, a key. Such an id is a *place* in a pattern: ``rtl/{model}-{id}/{field}``. The
fields that fill places identify; they are no readings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sensord.decode.base import Fault, Sample, excerpt
from sensord.decode.naming import field_level
from sensord.device.route import Route
from sensord.model.readings import Value
from sensord.model.topics import expand, fields_in

__all__ = ["NO_IDENTITY", "Identified", "Identifier"]

NO_IDENTITY = "message without identity"


class Identified(NamedTuple):
    """A message whose device is known: its route and the samples that are readings."""

    route: Route
    samples: Sequence[Sample]


class Identifier:
    """Identifies the messages of one scope.

    ``patterns`` are those of the topics that its fields may get; ``device`` is the one of the
    device's name, empty for the connection itself. ``only`` are the values that fields must have;
    other messages are passed over.
    """

    def __init__(
        self,
        connection: str,
        device: str,
        patterns: Sequence[str],
        names: Mapping[str, str],
        only: Mapping[str, Sequence[Value]],
    ) -> None:
        self._connection = connection
        self._device = device
        self._names = names
        self._only = {field: {as_text(one) for one in values} for field, values in only.items()}
        self._places = frozenset().union(*(fields_in(one) for one in (*patterns, device)))
        self._identifying = self._places | self._only.keys()
        self.is_needed = bool(self._identifying or device or names)
        """Whether messages have to be looked at; most have not."""

    def of(self, route: Route, samples: Sequence[Sample]) -> Identified | Fault | None:
        """Return what a message is of; None if it is passed over, or why that is not known."""
        if not samples:
            return None  # nothing was read: there is nothing to name
        found: dict[str, str] = {}
        if self._identifying:
            for sample in samples:
                if sample.field in self._identifying and (text := written(sample)):
                    found[sample.field] = text
            for field, wanted in self._only.items():
                if found.get(field) not in wanted:
                    return None
            missing = [name for name in sorted(self._places) if name not in found]
            if missing:
                quoted = f"{route.source} lacks {', '.join(missing)}".strip()
                return Fault(NO_IDENTITY, excerpt(quoted.encode("utf-8", "backslashreplace")))
            samples = [one for one in samples if one.field not in self._identifying]
        places = tuple((name, self._named(found[name])) for name in sorted(self._places))
        captures = tuple(self._names.get(text, text) for text in route.captures)
        route = route._replace(captures=captures, places=places)
        if self._device:
            route = route._replace(device=self._name_of(route))
        return Identified(route, samples)

    def _named(self, text: str) -> str:
        return self._names.get(text) or field_level(text)

    def _name_of(self, route: Route) -> str:
        values = {"device": self._connection, "source": route.source}
        values |= {str(i): text for i, text in enumerate(route.captures, 1)}
        values |= dict(route.places)
        name = expand(self._device, values)
        return self._names.get(name) or field_level(name)


def written(sample: Sample) -> str:
    """Return a sample's value as the device wrote it, or an empty text."""
    return as_text(sample.value if sample.text is None else sample.text)


def as_text(value: Value) -> str:
    """Return a value as devices write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None or isinstance(value, list | dict) else str(value).strip()
