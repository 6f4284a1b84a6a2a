"""Play a recording as a device: its readings are samples of this device.

The field of a sample is the topic that the reading has in the recording. Readings keep their
qualities; the device's own policy decides which are published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from sensord.config.schema import Duration, Within
from sensord.decode.base import Sample
from sensord.device.backoff import REMOTE, Limits
from sensord.device.reader import Link
from sensord.errors import DeviceError, JournalError
from sensord.model.clocks import SystemClock
from sensord.model.readings import Channel, Record
from sensord.model.topics import filter_fault
from sensord.playback import Options, Player
from sensord.playback.pace import LONGEST_WAIT_S
from sensord.readers.blocking import in_thread
from sensord.recordings import (
    Recording,
    RecordingError,
    Selection,
    Span,
    in_order,
    open_recording,
)

__all__ = ["Config", "Reader"]

MOST_FIELDS = 100_000


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``replay``.

    ``original_times`` leaves the readings the times that they had; else each is of now.
    """

    needs_decoder: ClassVar[bool] = False

    files: tuple[str, ...]
    speed: Annotated[float, Within(1e-6, 1e9)] = 1.0
    loop: bool = False
    original_times: bool = False
    filters: tuple[str, ...] = ("#",)
    max_wait: Annotated[Duration, Within(0, 366 * 86_400.0)] = LONGEST_WAIT_S

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.files:
            yield "files", 'at least one is needed, such as ["/srv/monday.mcap"]'
        for pattern in self.filters:
            if message := filter_fault(pattern):
                yield "filters", message


class Reader:
    """Plays recordings one after the other."""

    limits: Limits = REMOTE

    def __init__(self, config: Config) -> None:
        self._config = config

    async def run(self, link: Link) -> None:
        """Play to the end, and stay there.

        Raises:
            DeviceError: A file cannot be read.
        """
        config = self._config
        try:
            recordings = await in_thread("open:replay", self._open)
            options = Options(
                speed=config.speed,
                is_looping=config.loop,
                selection=Selection(config.filters),
                longest_wait_s=config.max_wait,
            )
            handing = _Handing(link, keeps_times=config.original_times)
            player = Player(recordings, options, SystemClock(), handing.take, on_hole=handing.hole)
            link.opened(f"{', '.join(config.files)} at {config.speed:g} times the speed")
            await player.run()
        except (RecordingError, JournalError, OSError) as error:
            raise DeviceError("cannot read the recording", str(error)) from error
        # The end is no fault, and the last values still hold.
        await asyncio.Event().wait()

    def _open(self) -> list[tuple[Recording, Span]]:
        return in_order([open_recording(Path(name)) for name in self._config.files])


class _Handing:
    """Hands readings on as samples."""

    def __init__(self, link: Link, *, keeps_times: bool) -> None:
        self._link = link
        self._keeps_times = keeps_times
        self._fields: dict[Channel, str] = {}

    def take(self, records: Sequence[Record], shift_us: int) -> None:
        """Hand on what has become due."""
        samples = []
        for _, _, channel, reading in records:
            field = self._fields.get(channel) or self._field(channel)
            time_us = reading.time_us + shift_us if self._keeps_times else None
            samples.append(Sample(field, reading.value, reading.quality, time_us))
        self._link.samples(samples)

    def _field(self, channel: Channel) -> str:
        if len(self._fields) >= MOST_FIELDS:
            self._fields.clear()  # some recordings create their channels again in each round
        # Others write topics with a slash in front.
        field = self._fields[channel] = channel.topic.strip("/")
        self._link.describe(field, channel.metadata)
        return field

    def hole(self, hole: object) -> None:
        """Report a gap."""
        self._link.fault("hole in the recording", str(hole))
