"""Clients cause so many log lines and no more; those left out are counted."""

from __future__ import annotations

from sensord.server.log_pace import AT_ONCE, PER_S, LogPace


def test_every_line_is_logged_or_counted() -> None:
    """However many come; after a pause there is room again."""
    pace = LogPace()
    found = [pace.next(100.0) for _ in range(1000)]
    logged = [one for one in found if one is not None]
    assert logged == [0] * int(AT_ONCE)
    assert pace.next(101.0) == 1000 - AT_ONCE
    assert [pace.next(101.0) for _ in range(int(PER_S))].count(0) == PER_S - 1
