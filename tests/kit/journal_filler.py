"""A process that fills a journal's disk, for ``python -m tests.kit.journal_filler FOLDER HOW``.

HOW is ``disk`` (a file system of a few MiB, mounted on FOLDER by whoever calls) or ``limit`` (of
this process's file sizes). It fills, makes room, and exits with 0 if the journal went through full
or failed, came back, and named every loss.
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from sensord.log.journal import Options, Reader, State, Writer
from tests.kit.journal import (
    START_US,
    Row,
    channels,
    check_cover,
    found_in,
    row,
    small_shape,
    walk_readings,
)

__all__ = ["main"]

S = 1_000_000


class Filler:
    """Hands readings to a writer, one commit a second of its own time."""

    def __init__(self, folder: Path) -> None:
        shape = small_shape(segment_bytes=256 << 10, chunk_bytes=32 << 10, ring_bytes=256 << 10)
        self.writer = Writer(Options(folder=str(folder)), shape=shape)
        self.writer.open(START_US, 0)
        self.given: dict[int, Row] = {}
        self.seconds = 0
        self.of = channels(20)

    def run(self, seconds: int) -> State:
        for _ in range(seconds):
            self.seconds += 1
            now_us = self.seconds * S
            records = walk_readings(
                200,
                first=len(self.given),
                start_us=START_US + now_us,
                rate=1e5,
                of=self.of,
                seed=self.seconds,
            )
            self.given |= {record.offset: row(record) for record in records}
            self.writer.commit(records, START_US + now_us, now_us)
        return self.writer.statistics().state


def main(mounted: Path, how: str) -> None:
    folder = mounted / "journal"
    filler = Filler(folder)
    assert filler.run(20) is State.OK
    ballast = mounted / "ballast"
    if how == "limit":
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, hard))
        assert filler.run(60) is State.FAILED
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)) == 4096:
                pass
        assert filler.run(200) is State.FULL
        assert filler.writer.statistics().dropped
        ballast.unlink()
    assert filler.run(60) is State.OK  # a failed disk is tried once a minute in the end
    dropped = filler.writer.statistics().dropped
    filler.writer.close(START_US + filler.seconds * S, filler.seconds * S)
    lost = check_cover(*found_in(Reader(folder).scan(0)), filler.given)
    removed = Reader(folder).view().start
    assert len([offset for offset in lost if offset >= removed]) <= dropped


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
