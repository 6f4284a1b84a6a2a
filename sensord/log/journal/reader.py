"""The entry point for reading a journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sensord.errors import JournalError
from sensord.log.journal.damage import Report, ignore
from sensord.log.journal.fetch import ChannelFor, Source, own_channels
from sensord.log.journal.newest import Newest
from sensord.log.journal.scan import Scan
from sensord.log.journal.timeline import NO_SHIFTS, Shifts
from sensord.log.journal.view import View, look
from sensord.log.journal.window import Bound, Window
from sensord.log.journal.writer import Writer
from sensord.mcap.channels import Described

__all__ = ["Reader"]


class Reader:
    """Reads one journal; each thread needs its own.

    It may be read while it is written: by the writer's own process, given the `Writer`, or by any
    other, given the folder.
    """

    def __init__(
        self,
        source: Writer | Path,
        channel_for: ChannelFor | None = None,
        *,
        kept: int = 0,
        report: Report = ignore,
    ) -> None:
        """Read a journal; ``kept`` chunks stay decoded for the next to read the same.

        ``report`` is called with each damage found.
        """
        self._journal = source
        self._source = Source(self.view, channel_for or own_channels(), kept, report)

    def view(self) -> View:
        """Look at the parts of the journal.

        Raises:
            JournalError: The folder cannot be read.
        """
        if isinstance(self._journal, Writer):
            return self._journal.view
        try:
            return look(self._journal)
        except OSError as error:
            raise JournalError(f"cannot be read: {error}", str(self._journal)) from error

    def scan(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        topics: Sequence[str] | None = None,
        limit: int | None = None,
        window: Window | None = None,
        corrections: Shifts = NO_SHIFTS,
    ) -> Scan:
        """Read the offsets from ``start`` up to ``stop`` that were logged in a span of time.

        Without ``start`` reading begins at the oldest, without ``stop`` it ends at the newest
        committed reading. ``since_us`` is included, ``until_us`` is not. ``topics`` are filters.
        ``window`` replaces both times; without ``corrections`` times are as recorded.
        """
        if window is None:
            window = Window(
                None if since_us is None else Bound(since_us),
                None if until_us is None else Bound(until_us),
            )
        return Scan(self._source, start, stop, window, corrections, topics, limit)

    def newest(self, wanted: Iterable[Described]) -> Newest:
        """Look for the last reading of channels, step by step from the journal's end."""
        return Newest(self._source, wanted)
