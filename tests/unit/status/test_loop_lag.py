"""The greatest lateness of the loop, and for how long it is shown."""

from __future__ import annotations

from sensord.status.loop_lag import LoopLag
from tests.unit.manual import manual_loop


def test_a_loop_that_is_late_once_shows_it_for_30_to_60_seconds() -> None:
    """Then it is forgotten."""
    loop = manual_loop()
    lag = LoopLag(loop)
    lag.start()
    lag.start()
    loop.run_until(loop.time() + 10)
    assert lag.greatest_s == 0.0
    loop.now += 2.0  # while a callback blocks
    loop.run_until(loop.time() + 20)
    assert 1.4 < lag.greatest_s <= 2.0
    loop.run_until(loop.time() + 61)
    assert lag.greatest_s == 0.0


def test_it_measures_no_longer_when_stopped() -> None:
    """No timer is left."""
    loop = manual_loop()
    lag = LoopLag(loop)
    lag.start()
    lag.stop()
    lag.stop()
    assert loop.is_idle
