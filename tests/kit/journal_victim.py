"""A process that writes a journal until it is killed.

Every reading follows from its offset, so whoever reads the journal can tell right from wrong. On
stdout: ``o EPOCH OFFSET`` when it begins, ``g OFFSET`` before readings up to there are handed out,
``c OFFSET`` when they are committed.
"""

from __future__ import annotations

import sys
import time

from sensord.log.journal import Options, Writer
from sensord.model.clocks import SystemClock
from sensord.model.readings import GOOD, Channel, Metadata, Reading, Record
from tests.kit.journal import channels, small_shape

__all__ = ["BASE_US", "CHANNELS", "SHAPE", "reading_at"]

BASE_US = 1_600_000_000_000_000
CHANNELS = channels(50, Metadata(unit="V", decimals=3))
SHAPE = small_shape(segment_bytes=1 << 20, chunk_bytes=64 << 10, ring_bytes=256 << 10)


def reading_at(offset: int) -> tuple[Channel, Reading]:
    """Make the one reading that may have this offset."""
    value = (offset * 2654435761 % 1000003) / 1000
    return CHANNELS[offset % len(CHANNELS)], Reading(BASE_US + offset, value, GOOD, offset % 7 == 0)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(folder: str, rate: int, interval_s: float) -> None:
    clock = SystemClock()
    writer = Writer(Options(folder=folder), shape=SHAPE)
    recovery = writer.open(clock.wall_us(), clock.monotonic_us())
    offset = recovery.next_offset
    say("o", recovery.epoch, offset)
    last_s = time.monotonic()
    while True:
        time.sleep(interval_s)
        now_s = time.monotonic()
        # On a busy machine it may have slept for much longer.
        count, last_s = int(min(now_s - last_s, 2 * interval_s) * rate), now_s
        say("g", offset + count)
        wall_us = clock.wall_us()
        records = []
        for i in range(offset, offset + count):
            channel, reading = reading_at(i)
            records.append(Record(i, wall_us, channel, reading))
        offset += count
        commit = writer.commit(records, wall_us, clock.monotonic_us())
        say("c", commit.committed_offset)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
