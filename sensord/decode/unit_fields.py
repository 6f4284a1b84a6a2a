"""Give values the units that follow them in the message: ``DC 3.999 V``. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sensord.decode.base import Decoded
from sensord.model.conversions import meaning
from sensord.model.readings import Metadata
from sensord.model.units import spelled_unit

__all__ = ["UnitFields", "unit_fields_fault"]


def unit_fields_fault(
    unit_fields: Mapping[str, str], known: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield fields that the decoder does not have; without ``known`` it may have any."""
    for field, unit in unit_fields.items():
        for name in (field, unit):
            if known and name not in known:
                yield "unit_fields", f'"{name}" is not one of the fields'
        if field == unit:
            yield "unit_fields", f'"{field}" cannot be its own unit'


class UnitFields:
    """Which field is the unit of which; those that are units give no reading."""

    def __init__(self, unit_fields: Mapping[str, str]) -> None:
        self._unit_of = dict(unit_fields)
        self._are_units = frozenset(unit_fields.values())
        self._first: dict[str, str] = {}

    def applied(self, decoded: Decoded) -> Decoded:
        """Return the samples with their units, and without those that are units."""
        found = {
            one.field: str(one.value if one.text is None else one.text).strip()
            for one in decoded.samples
            if one.field in self._are_units
        }
        samples = []
        for sample in decoded.samples:
            if sample.field in self._are_units:
                continue
            written = found.get(self._unit_of.get(sample.field, ""), "")
            unit = (spelled_unit(written) or written) if written else ""
            if unit:
                if meaning(unit):
                    self._first.setdefault(sample.field, unit)
                sample = sample._replace(unit=unit)  # noqa: PLW2901  # the same with its unit
            samples.append(sample)
        return Decoded(samples, decoded.faults)

    def metadata(self, field: str) -> Metadata | None:
        """Return the unit that came first with a field."""
        unit = self._first.get(field)
        return None if unit is None else Metadata(unit=unit)
