"""A reader that runs together with the commands of its device."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from sensord.device.backoff import REMOTE, Limits
from sensord.device.commands import Commands
from sensord.device.reader import Link, Reader, Writer

__all__ = ["ReaderWithCommands"]


class ReaderWithCommands:
    """Runs a reader, and the commands of its device through it."""

    def __init__(self, reader: Reader, commands: Commands) -> None:
        self._reader = reader
        self._commands = commands

    @property
    def limits(self) -> Limits:
        """Those of the reader."""
        limits = getattr(self._reader, "limits", REMOTE)
        assert isinstance(limits, Limits)
        return limits

    async def run(self, link: Link) -> None:
        """Run both until one of them ends: the reader with its connection, or by an internal fault.

        Raises:
            DeviceError: The reader's.
        """
        writer = cast("Writer", self._reader)
        name = self._commands.device
        reading = asyncio.create_task(self._reader.run(link), name=f"reading:{name}")
        commanding = asyncio.create_task(self._commands.run(writer), name=f"commands:{name}")
        both: set[asyncio.Task[Any]] = {reading, commanding}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        errors = [error for task in both if not task.cancelled() and (error := task.exception())]
        if errors:
            raise errors[0]
