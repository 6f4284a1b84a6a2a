"""Run readers in tests, alone or supervised, and see what they leave behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sensord.device.backoff import Backoff, Limits
from sensord.device.reader import Reader
from sensord.device.supervisor import supervise
from tests.kit.link import RecordingLink, RecordingWatch

__all__ = ["IMPATIENT", "open_descriptors", "released", "running", "supervised"]

IMPATIENT = Limits(first_s=0.02, cap_s=0.02)
"""So that tests of reconnecting need not wait."""


def open_descriptors() -> int:
    """Count this process's open descriptors, without those only garbage holds: paho's are."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def released(before: int) -> None:
    """Wait until no more descriptors are open than before: a thread that connects closes later."""
    async with asyncio.timeout(20):
        while open_descriptors() > before:  # noqa: ASYNC110  # a thread gives no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(reader: Reader) -> AsyncIterator[RecordingLink]:
    """Run a reader until the block ends; if it fails before it is opened, raise that."""
    link = RecordingLink()
    task = asyncio.ensure_future(reader.run(link))
    opened = asyncio.ensure_future(link.until(lambda link: link.details))
    try:
        await asyncio.wait((task, opened), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield link
    finally:
        opened.cancel()
        task.cancel()
        await asyncio.wait((task, opened))


@asynccontextmanager
async def supervised(
    reader: Reader, limits: Limits = IMPATIENT
) -> AsyncIterator[tuple[RecordingLink, RecordingWatch]]:
    """Supervise a reader until the block ends."""
    link, watch = RecordingLink(), RecordingWatch()
    backoff = Backoff(limits, lambda: 1.0)
    task = asyncio.ensure_future(supervise("tested", reader, link, watch, backoff=backoff))
    try:
        yield link, watch
    finally:
        task.cancel()
        await asyncio.wait((task,))
