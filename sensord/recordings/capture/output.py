"""Writes a capture: one MCAP file that is whole when it has its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sensord.errors import SensordError
from sensord.log.journal.shape import CHUNK_BYTES
from sensord.mcap import records as mcap
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.disk import Disk
from sensord.mcap.message import MOST_CHANNELS, SEQUENCES, pack_messages
from sensord.mcap.records import ChannelRecord
from sensord.mcap.segment import SegmentWriter
from sensord.recordings.capture.arrivals import Arrival, Stored, payload_of, stored
from sensord.recordings.part_file import part_path
from sensord.recordings.segment_file import FORMAT

__all__ = ["CAPTURE", "DEVICE", "CaptureOutput"]

CAPTURE = "capture"
"""The fact that marks a file as holding a device's arrivals, not readings."""

DEVICE = "sensord.device"
"""The metadata record with the device's table of the configuration, as JSON."""

_SCHEMAS = {
    "bytes": (1, mcap.schema(1, "sensord.capture.bytes", "", b"")),
    "json": (2, mcap.schema(2, "sensord.capture.json", "jsonschema", b'{"type": "object"}')),
}


class CaptureOutput:
    """Gathers what arrives to chunks, and seals the file when it is complete."""

    def __init__(self, path: Path, device: str, table: Mapping[str, Any]) -> None:
        """``table`` is the device's table of the configuration."""
        self.count = 0
        """Arrivals so far."""
        self._path = path
        self._device = device
        self._codec = ChunkCodec()
        facts = {"format": str(FORMAT), CAPTURE: "1", "device": device}
        self._file = SegmentWriter(Disk(), part_path(path), 0, facts)
        self._file.note(DEVICE, {"name": device, "table": json.dumps(table)})
        self._numbers: dict[Stored, int] = {}
        self._raw = bytearray()
        self._first = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        part_path(self._path).unlink(missing_ok=True)

    def add(self, arrival: Arrival) -> None:
        """Append an arrival.

        Raises:
            OSError: The disk fails.
            SensordError: There are more sources than a file can number.
        """
        channel = stored(self._device, arrival.what)
        number = self._numbers.get(channel)
        if number is None:
            number = self._define(channel)
        at_ns, wall_ns = max(arrival.at_us, 0) * 1000, max(arrival.wall_us, 0) * 1000
        sequence, payload = self.count % SEQUENCES, payload_of(arrival.what)
        self._raw += pack_messages((number,), (sequence,), (at_ns,), (wall_ns,), (payload,))
        self.count += 1
        if len(self._raw) >= CHUNK_BYTES:
            self.flush()

    def _define(self, channel: Stored) -> int:
        number = self._numbers[channel] = len(self._numbers) + 1
        if number > MOST_CHANNELS:
            raise SensordError(f"{self._path}: MCAP cannot number so many sources")
        schema_id, schema = _SCHEMAS[channel.encoding]
        record = ChannelRecord(
            number, schema_id, channel.topic, channel.encoding, dict(channel.facts)
        )
        self._file.define_record(record, schema)
        return number

    def flush(self) -> None:
        """Write what is gathered, so that it outlives this process.

        Raises:
            OSError: The disk fails.
        """
        if self._raw:
            chunk = self._codec.reseal(bytes(self._raw), self._first)
            self._file.append(chunk, sync=False)
            self.drop()

    def salvage(self) -> None:
        """Seal what fits when the disk is full.

        Raises:
            OSError: Even that fails.
        """
        self.drop()
        try:
            self.complete()
        except OSError:
            if not self._file.withdraw():
                raise
            self.complete()

    def drop(self) -> None:
        """Forget what is gathered, for there is no room for it; what was written is kept."""
        self._raw, self._first = bytearray(), self.count

    def complete(self) -> None:
        """Seal the file and give it its name.

        Raises:
            OSError: It has not got it.
        """
        self.flush()
        self._file.seal(self._path)
