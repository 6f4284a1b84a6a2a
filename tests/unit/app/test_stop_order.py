"""The steps of a stop do not depend on each other."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading

import pytest

from sensord.app.stop_order import StopError, StopOrder, stuck_threads
from sensord.errors import JournalError
from tests.kit.loops import on_each_loop


def broken() -> None:
    raise ZeroDivisionError("no step does this")


async def hanging() -> None:
    await asyncio.Event().wait()


async def broken_later() -> None:
    raise JournalError("the disk failed")


@on_each_loop
async def test_each_step_runs_whatever_the_one_before_did(caplog: pytest.LogCaptureFixture) -> None:
    """One that raises and one that hangs are named; those behind them are done."""
    done: list[str] = []

    async def last() -> None:
        done.append("last")

    with caplog.at_level(logging.ERROR), StopOrder() as order:
        order.step("first", broken)
        order.step("second", lambda: done.append("second"))
        await order.wait("third", hanging, 0.01)
        await order.wait("fourth", broken_later, 1.0)
        await order.wait("last", last, 1.0)
    assert done == ["second", "last"]
    assert order.failed == ["first", "third", "fourth"]
    assert str(StopError(order.failed)) == "the stop was not clean: first, third, fourth"
    logged = {record.step: record for record in caplog.records}  # type: ignore[attr-defined]  # extra
    assert logged["first"].exc_info is not None
    assert logged["fourth"].reason == "the disk failed"  # type: ignore[attr-defined]  # extra
    assert not logged["fourth"].exc_info


def test_a_step_that_blocks_the_loop_ends_with_the_process() -> None:
    """Nobody has to kill it."""
    text = "from sensord.app.stop_order import StopOrder; import time\n"
    text += "with StopOrder(0.2) as order: order.step('hangs', lambda: time.sleep(600))"
    ended = subprocess.run([sys.executable, "-c", text], check=False, timeout=60)
    assert ended.returncode == 1


def test_a_thread_that_does_not_end_is_named() -> None:
    """Python would wait for it for ever."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="journal-test_0")
    thread.start()
    assert stuck_threads("journal-test", 0.01) == ["journal-test_0"]
    release.set()
    assert stuck_threads("journal-test", 60.0) == []
