"""A cursor: where a time is in the log."""

from __future__ import annotations

import pytest

from sensord.log import Cursor, Log
from sensord.log.memory import BLOCK
from sensord.model import Channel, Metadata, Reading, Record

CHANNEL = Channel(0, "t", Metadata())


@pytest.mark.parametrize(("time_us", "is_told"), [(999, True), (1000, True), (1001, False)])
def test_what_arrived_together_may_be_gone_in_part(time_us: int, *, is_told: bool) -> None:
    """Readings of one log time on both sides of what is held: since then, some are gone."""
    log = Log("e", 2 * BLOCK)
    for _ in range(3 * BLOCK):
        log.append(Record(log.tail, 1000, CHANNEL, Reading(0, 1)))
    log.append(Record(log.tail, 1001, CHANNEL, Reading(0, 1)))
    cursor = Cursor(log, None, ("t",), {0}, 0)
    assert cursor.since(time_us) == (log.first if is_told else None)
