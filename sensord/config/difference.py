"""The difference of two configurations: what a reload has to restart. Pure.

Devices and uplinks are compared as they stand in the file, with their profiles: their options hold
objects, such as compiled patterns, that are never equal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sensord.config.tree import Config

__all__ = ["Difference", "Names", "difference"]

_AT_START_ONLY = ("server", "clients", "control", "log", "journal")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one kind of tables that differ."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @property
    def ended(self) -> tuple[str, ...]:
        """Those that end, some to begin again."""
        return self.removed + self.changed

    @property
    def begun(self) -> tuple[str, ...]:
        """Those that begin."""
        return self.added + self.changed


@dataclass(frozen=True, slots=True)
class Difference:
    """What a reload changes, and what only a restart does."""

    devices: Names = Names()
    uplinks: Names = Names()
    alarms: Names = Names()
    derived: Names = Names()
    level: str | None = None
    """The new level of the log."""
    at_start_only: tuple[str, ...] = ()
    """Dotted keys, such as ``server.listen``."""

    def to_value(self) -> dict[str, Any]:
        """Return what differs, as JSON; what does not is left out."""
        kinds = {
            "devices": self.devices,
            "uplinks": self.uplinks,
            "alarms": self.alarms,
            "derived": self.derived,
        }
        value: dict[str, Any] = {
            kind: {key: list(found) for key, found in dataclasses.asdict(names).items() if found}
            for kind, names in kinds.items()
            if names
        }
        if self.level is not None:
            value["logging.level"] = self.level
        if self.at_start_only:
            value["needs_restart"] = list(self.at_start_only)
        return value


def difference(old: Config, new: Config) -> Difference:
    """Return what differs."""
    return Difference(
        _names(old.tables.get("devices", {}), new.tables.get("devices", {})),
        _names(old.tables.get("uplinks", {}), new.tables.get("uplinks", {})),
        _names(old.alarms, new.alarms),
        _names(old.derived, new.derived),
        new.logging.level if old.logging.level != new.logging.level else None,
        tuple(_keys(old, new)),
    )


def _names(old: Mapping[str, Any], new: Mapping[str, Any]) -> Names:
    return Names(
        tuple(name for name in new if name not in old),
        tuple(name for name in new if name in old and new[name] != old[name]),
        tuple(name for name in old if name not in new),
    )


def _keys(old: Config, new: Config) -> Iterator[str]:
    for section in _AT_START_ONLY:
        before, after = getattr(old, section), getattr(new, section)
        for field in dataclasses.fields(before):
            if getattr(before, field.name) != getattr(after, field.name):
                yield f"{section}.{field.name}"
