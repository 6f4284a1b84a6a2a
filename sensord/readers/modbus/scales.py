"""Multiply values by the power of ten that another register of their unit holds (SunSpec). Pure.

The register with the power gives no reading. A value waits for it: until it has been read, there is
none. It is kept from one answer to the next, for it may be read in another request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sensord.decode.base import Sample

__all__ = ["Scales"]

LARGEST = 12


class Scales:
    """The powers of one unit, by the register that holds them."""

    def __init__(self, of_fields: Mapping[str, str]) -> None:
        self._of_fields = of_fields
        self._registers = frozenset(of_fields.values())
        self._known: dict[str, int] = {}

    def applied(self, samples: Iterable[Sample]) -> list[Sample]:
        """Return the samples that are readings, scaled."""
        found = list(samples)
        if not self._registers:
            return found
        for one in found:
            if one.field in self._registers:
                self._know(one)
        scaled = (self._scaled(one) for one in found if one.field not in self._registers)
        return [one for one in scaled if one is not None]

    def _know(self, sample: Sample) -> None:
        power = sample.value
        self._known.pop(sample.field, None)
        if isinstance(power, int) and abs(power) <= LARGEST:
            self._known[sample.field] = power

    def _scaled(self, sample: Sample) -> Sample | None:
        register = self._of_fields.get(sample.field)
        if register is None or isinstance(sample.value, bool):
            return sample
        value = sample.value
        if not isinstance(value, int | float):
            return sample
        power = self._known.get(register)
        if power is None:
            return None
        return sample._replace(value=value / 10**-power if power < 0 else float(value * 10**power))
