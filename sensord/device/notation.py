"""How a device writes the values of one field, as far as the configuration declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["DECIMAL", "Notation", "Sign"]

Sign = Literal["none", "high_bit", "twos_complement"]

DECIMAL = 10


@dataclass(frozen=True, slots=True)
class Notation:
    """How a device writes the values of a field.

    ``base`` and ``sign`` are those of whole numbers: with ``high_bit`` the highest of ``bits`` is
    the sign and the others the magnitude. Without ``bits`` the digits that came say how many
    there are. ``missing`` are the numbers, before scaling, and words that stand for no value;
    ``values`` are what the device says for the channel's values, and nothing else is one.
    """

    base: int = DECIMAL
    sign: Sign = "none"
    bits: int | None = None
    missing: tuple[bool | int | float | str, ...] = ()
    values: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    decimal_comma: bool = False
