"""Modules by the names that a configuration uses: ours, and those that other packages install.

A module is imported when it is first named: a gateway without MQTT loads no MQTT.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from sensord.errors import SensordError

__all__ = ["MissingLibraryError", "Plugins"]


class MissingLibraryError(SensordError):
    """A built-in module needs a library that is not installed."""

    def __init__(self, name: str, library: str) -> None:
        """``name`` is the module's in the configuration, and that of the extra."""
        self.name = name
        self.library = library

    def __str__(self) -> str:
        return f"{self.name} needs the library {self.library}: pip install 'sensord[{self.name}]'"


class Plugins:
    """The modules of one kind, such as readers."""

    def __init__(self, ours: Mapping[str, str], group: str) -> None:
        """``ours`` maps names to dotted modules; others come by the entry point ``group``."""
        self._ours = ours
        self._group = group

    def names(self) -> list[str]:
        """Return every known name, third parties' included."""
        others = importlib.metadata.entry_points(group=self._group)
        return sorted({*self._ours, *(entry.name for entry in others)})

    def module(self, name: str) -> ModuleType | Any | None:  # noqa: ANN401  # any object may do
        """Return the module with a name, or None. Built-in ones precede those of others.

        Raises:
            MissingLibraryError: It needs a library that is not installed.
        """
        if name in self._ours:
            try:
                return importlib.import_module(self._ours[name])
            except ModuleNotFoundError as exc:
                library = (exc.name or "").partition(".")[0]
                raise MissingLibraryError(name, library) from exc
        for entry in importlib.metadata.entry_points(group=self._group, name=name):
            return entry.load()
        return None
