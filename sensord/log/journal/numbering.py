"""The numbers that channels have in the registry, in ring frames and in segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sensord.log.journal.registry import channel_line
from sensord.mcap.channels import Described
from sensord.model.readings import Channel

__all__ = ["MAX_NUMBER", "Numbering"]

MAX_NUMBER = (1 << 16) - 1
"""MCAP's channel ids have two bytes."""


class Numbering:
    """Gives each topic with its metadata a number, and keeps it."""

    def __init__(self, known: Mapping[int, Described]) -> None:
        self.channels = dict(known)
        """By number. Entries are only added, so readers may look on from other threads."""
        self.ids: dict[Channel, int] = {}
        self.unwritten: list[bytes] = []
        """Lines that must be in the registry before a frame may use their numbers."""
        self._numbers = {channel: number for number, channel in known.items()}
        self._next = max(known, default=0) + 1

    def admit(self, channels: Iterable[Channel]) -> bool:
        """Number the channels that are new; False if there are no numbers left."""
        for channel in channels:
            if channel not in self.ids:
                described = Described(channel.topic, channel.metadata)
                number = self._numbers.get(described)
                if number is None:
                    if self._next > MAX_NUMBER:
                        return False
                    number = self._next
                    self._next += 1
                    self._numbers[described] = number
                    self.channels[number] = described
                    self.unwritten.append(channel_line(number, described))
                self.ids[channel] = number
        return True
