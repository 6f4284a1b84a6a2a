"""Reads a capture: the device's configuration, and what arrived, in order."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sensord.log.journal import Hole
from sensord.mcap import records as mcap
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.entries import MESSAGE, chunk_at, content, entries, raw_of
from sensord.mcap.records import MAGIC, ChannelRecord, Opcode
from sensord.mcap.regular import open_binary
from sensord.mcap.segment import METADATA
from sensord.recordings import RecordingError
from sensord.recordings.capture.arrivals import Arrival, what_of
from sensord.recordings.capture.output import CAPTURE, DEVICE

__all__ = ["CaptureFile", "is_capture"]

_HEAD_BYTES = 4096
"""The header and the first facts fit many times."""


def is_capture(path: Path) -> bool:
    """Return whether a path leads to a capture."""
    try:
        with open_binary(path) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    if not head.startswith(MAGIC):
        return False
    try:
        for opcode, start, end in mcap.records(head, len(MAGIC)):
            if opcode == Opcode.METADATA:
                name, facts = mcap.metadata_of(head[start:end])
                return name == METADATA and CAPTURE in facts
    except (ValueError, struct.error):
        pass
    return False


class CaptureFile:
    """One file, read from its beginning; one that was cut off is read as far as it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.device = ""
        """The device's name."""
        self.table: dict[str, Any] = {}
        """Its table of the configuration."""
        self.is_whole = False
        """Whether it was completed; known when all was read."""
        self._codec = ChunkCodec()
        with self._open() as file:
            for entry in entries(file):
                if entry.opcode not in {Opcode.HEADER, Opcode.METADATA}:
                    break
                if entry.opcode == Opcode.METADATA:
                    self._note(content(file, entry))
        if not self.device:
            raise RecordingError(path, "is a capture without its device")

    def _note(self, body: bytes) -> None:
        try:
            name, facts = mcap.metadata_of(body)
            if name == DEVICE:
                self.device, self.table = facts["name"], json.loads(facts["table"])
        except (ValueError, KeyError) as error:
            raise RecordingError(self.path, f"its device is damaged: {error}") from error

    def _open(self) -> BinaryIO:
        try:
            return open_binary(self.path)
        except OSError as error:
            raise RecordingError(self.path, f"cannot be opened: {error.strerror}") from error

    def arrivals(self) -> Iterator[Arrival | Hole]:
        """Yield what came; a damaged chunk is a hole, whose offset counts arrivals.

        Raises:
            RecordingError: It cannot be read.
        """
        channels: dict[int, ChannelRecord] = {}
        count = 0
        with self._open() as file:
            for entry in entries(file):
                match entry.opcode:
                    case Opcode.CHANNEL:
                        record = _channel(content(file, entry))
                        if record is not None:
                            channels[record.id] = record
                    case Opcode.CHUNK:
                        try:
                            raw = raw_of(file, chunk_at(file, entry), self._codec)
                        except ValueError as error:
                            yield Hole(count, 0, f"a damaged chunk: {error}")
                            continue
                        for item in _arrivals(raw, channels, count):
                            count += isinstance(item, Arrival)
                            yield item
                    case Opcode.FOOTER:
                        self.is_whole = True


def _channel(body: bytes) -> ChannelRecord | None:
    try:
        return mcap.channel_of(body)
    except ValueError:
        return None


def _arrivals(
    raw: bytes, channels: dict[int, ChannelRecord], first: int
) -> Iterator[Arrival | Hole]:
    number = first
    for opcode, start, end in mcap.records(raw):
        if opcode != Opcode.MESSAGE or end - start < MESSAGE.size:
            continue
        channel, _, at_ns, wall_ns = MESSAGE.unpack_from(raw, start)
        payload = raw[start + MESSAGE.size : end]
        try:
            what = what_of(channels[channel].metadata, payload)
        except (ValueError, KeyError, TypeError) as error:
            yield Hole(number, 1, f"not understood: {error!r}")
            continue
        number += 1
        yield Arrival(at_ns // 1000, wall_ns // 1000, what)
