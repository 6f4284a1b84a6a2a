"""What holds for the messages of one filter of a connection, in the place of the device's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sensord.config.channels import ChannelRules
from sensord.config.schema import Printable, Scalar
from sensord.model.topics import pattern_fault

__all__ = ["SCOPED", "Rules", "Scope", "device_fault"]


def device_fault(pattern: str) -> str | None:
    """Return what is wrong with the pattern of a device's name, or None."""
    if "{field}" in pattern:
        return "{field} is what a device sends, not its name; use {1} or a field, such as {id}"
    if "/" in pattern:
        return "a device's name is one level"
    if "{" not in pattern:
        return "names one device; use {1} or a field that tells them apart, such as {id}"
    return pattern_fault(pattern)


@dataclass(frozen=True, slots=True)
class Rules:
    """The keys that a filter may have beside those of its reader."""

    field: str = ""
    device: str = ""
    ignore: tuple[Printable, ...] = ()
    only: dict[str, tuple[Scalar, ...]] = dataclasses.field(default_factory=dict)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield patterns that cannot be."""
        if self.field and (message := pattern_fault(self.field)):
            yield "field", message
        if self.device and (message := device_fault(self.device)):
            yield "device", message


SCOPED = frozenset({"decoder", "channels", "field", "device", "ignore", "only"})
"""The keys of `Scope` as a filter's table has them."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One filter's own decoder, names and rules; empty ones are those of the device."""

    decoder: str = ""
    decoder_config: object = None
    field: str = ""
    device: str = ""
    ignore: tuple[str, ...] = ()
    only: Mapping[str, tuple[bool | int | float | str, ...]] = dataclasses.field(
        default_factory=dict
    )
    channels: Mapping[str, ChannelRules] = dataclasses.field(default_factory=dict)
