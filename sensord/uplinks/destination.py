"""What an uplink needs of the system at the other side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sensord.errors import SensordError
from sensord.model.readings import Position, Record

__all__ = ["Batch", "Destination", "RejectedError", "UplinkError"]


class UplinkError(SensordError):
    """The other side cannot be reached or does not accept anything at present; try again later."""


class RejectedError(SensordError):
    """The other side refuses these readings, and would refuse them again."""


class Batch(NamedTuple):
    """Readings of one log, in order."""

    epoch: str
    records: Sequence[Record]


class Destination(Protocol):
    """A system that accepts readings."""

    @property
    def where(self) -> str:
        """Its address, as an operator writes it."""
        ...

    async def open(self) -> Position | None:
        """Connect; return the position up to which the other side has everything, if it knows.

        Delivery resumes there. None leaves it where it was saved.

        Raises:
            UplinkError: It cannot be reached; the text says what to do.
        """
        ...

    async def send(self, batch: Batch) -> int:
        """Send readings; return the number of bytes when they are acknowledged.

        Raises:
            UplinkError: They may or may not have arrived; send them again later.
            RejectedError: At least one of them is refused for good.
        """
        ...

    async def close(self) -> None:
        """Disconnect; nothing is raised."""
        ...
