"""The tree of errors, branched by who must act.

    SensordError
    ├── UsageError          whoever typed the command: its options do not go together
    ├── ConfigError         the operator: mend the configuration
    ├── StartError          the operator: the daemon cannot start; the text gives the mend
    ├── DeviceError         time: the supervisor tries again
    ├── ProtocolError       the peer: it sent what `docs/protocol.md` does not allow
    └── JournalError        the disk: recording stops, streaming goes on
        └── JournalBusyError    the operator: two daemons on one folder

Errors carry fields; the text is made in ``__str__``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "ConfigError",
    "ConfigFault",
    "DeviceError",
    "JournalBusyError",
    "JournalError",
    "ProtocolError",
    "SensordError",
    "StartError",
    "UsageError",
]


class SensordError(Exception):
    """Any error that sensord itself raises."""


class UsageError(SensordError):
    """The options of a command do not go together, or one means nothing."""


class StartError(SensordError):
    """The daemon cannot start; the text names the remedy."""


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """One fault in a configuration: its place and its remedy.

    ``line`` counts from 1; 0 means the file as a whole.
    """

    file: str
    line: int
    path: str
    message: str

    @property
    def place(self) -> str:
        """The place, as far as it is known."""
        where = f"{self.file}:{self.line}" if self.line else f"{self.file}:"
        return f"{where} {self.path}" if self.path else where

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.path else f"{self.place} {self.message}"


class ConfigError(SensordError):
    """The configuration has faults; all of them are in ``faults``, in file order."""

    def __init__(self, faults: list[ConfigFault]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class DeviceError(SensordError):
    """A device or its line failed; trying again later may help.

    ``reason`` is a short constant text that can be counted and rate-limited, ``detail`` varies.
    ``at_once`` asks for the next run without a pause, in which something could be missed.
    """

    def __init__(self, reason: str, detail: str = "", *, at_once: bool = False) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.at_once = at_once

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class ProtocolError(SensordError):
    """A request that cannot be answered as asked.

    ``code`` is one of the codes in `docs/protocol.md`; ``message`` names the remedy. ``present`` is
    the actual value where another was expected.
    """

    def __init__(
        self, code: str, message: str, present: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.present = present

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class JournalError(SensordError):
    """The journal could not be read or written.

    ``place`` is the folder or file, ``at`` the byte in it, ``first`` the offset of the first
    reading that it concerns; each where it is known.
    """

    def __init__(
        self, reason: str, place: str = "", *, at: int | None = None, first: int | None = None
    ) -> None:
        super().__init__(reason, place, at, first)
        self.reason = reason
        self.place = place
        self.at = at
        self.first = first

    def __str__(self) -> str:
        place = self.place if self.at is None else f"{self.place}, byte {self.at}"
        text = f"{place}: {self.reason}" if place else self.reason
        return text if self.first is None else f"{text}, from offset {self.first} on"


class JournalBusyError(JournalError):
    """Another process writes this journal: the operator has to give one of them another folder."""
