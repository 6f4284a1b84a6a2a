"""Find the last readings of channels: the journal read from its end.

A daemon restores these until its devices send. A channel that was quiet for long is far back, so
the caller may stop between any two steps; each decodes one chunk at most.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sensord.errors import JournalError
from sensord.log.journal.damage import Damage
from sensord.log.journal.fetch import Source
from sensord.log.journal.registry import Sealed
from sensord.log.journal.ring import NAME as RING
from sensord.log.journal.scan import open_part
from sensord.log.journal.view import OpenSegment, View
from sensord.mcap.batch import Rows, rows_of_block
from sensord.mcap.block import Block
from sensord.mcap.channels import Described
from sensord.mcap.segment import Located, sealed_path
from sensord.model.readings import Record

__all__ = ["Newest"]


class Newest:
    """The search: the records that each step found, possibly no records.

    What cannot be read is skipped; the last reading before it then counts as the last.
    """

    def __init__(self, source: Source, wanted: Iterable[Described]) -> None:
        self._source = source
        self._wanted = set(wanted)
        self._steps = self._run()

    def __iter__(self) -> Iterator[list[Record]]:
        return self._steps

    def _run(self) -> Iterator[list[Record]]:
        view = self._source.look()
        parts: list[Sealed | OpenSegment | Block] = [*view.sealed, *view.unsealed, *view.pending]
        for part in sorted(parts, key=lambda part: part.first, reverse=True):
            if not self._wanted:
                return
            try:
                yield from self._part(view, part)
            except (OSError, ValueError, JournalError):
                pass  # damaged; a reader of these readings reports it
            except Exception as error:  # noqa: BLE001  # as in `Scan.__next__`
                self._source.report(Damage(_name(part), f"cannot be read: {error!r}"), error)

    def _part(self, view: View, part: Sealed | OpenSegment | Block) -> Iterator[list[Record]]:
        if isinstance(part, Block):
            numbers = self._numbers(view.channels)
            yield self._take(rows_of_block(part).of_channels(numbers), view.channels)
        else:
            yield from self._segment(view, part)

    def _segment(self, view: View, part: Sealed | OpenSegment) -> Iterator[list[Record]]:
        descriptor = open_part(view.folder, part)
        try:
            if isinstance(part, OpenSegment):
                chunks, channels = part.chunks, view.channels
            else:
                table = self._source.table(descriptor, part)
                chunks, channels = table.chunks, table.channels
                if not table.is_indexed:
                    channels = view.channels_of(part, table.channels)
            for located in reversed(chunks):
                yield self._chunk(descriptor, located, channels)
        finally:
            os.close(descriptor)

    def _chunk(
        self, descriptor: int, located: Located, channels: Mapping[int, Described]
    ) -> list[Record]:
        numbers = self._numbers(channels)
        inside = {number for number, _ in located.entry.channels()}
        if not numbers or (inside and numbers.isdisjoint(inside)):
            return []
        try:
            return self._take(self._source.rows(descriptor, located, numbers), channels)
        except (ValueError, JournalError):
            return []  # damaged

    def _numbers(self, channels: Mapping[int, Described]) -> set[int]:
        # The list is made in one step: a writer in another thread may be adding to the mapping.
        return {number for number, found in list(channels.items()) if found in self._wanted}

    def _take(self, rows: Rows, channels: Mapping[int, Described]) -> list[Record]:
        """Make records of the last row of each channel.

        Raises:
            ValueError: A payload is not JSON.
            JournalError: A channel is not known.
        """
        if not len(rows):
            return []
        last = rows.last_of_each()
        records = last.parse(0, self._source.channels(channels)).records()
        self._wanted -= {channels[number] for number in last.numbers}
        return records


def _name(part: Sealed | OpenSegment | Block) -> str:
    if isinstance(part, Block):
        return RING
    return part.path.name if isinstance(part, OpenSegment) else sealed_path(Path(), part.first).name
