"""`sensord record`: record the readings of a running daemon into an MCAP file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import uvloop

from sensord.cli.connection import name_of
from sensord.cli.info import size_text
from sensord.cli.options import (
    check_filters,
    configure_url,
    count,
    duration,
    start_of,
    token_of,
    trust_of,
)
from sensord.cli.progress import REFRESH_S, Progress
from sensord.client import (
    Arrived,
    Client,
    ClientError,
    Gap,
    Item,
    PhaseChange,
    Subscription,
    Update,
)
from sensord.errors import SensordError, UsageError
from sensord.log.journal import Batch, Hole
from sensord.model.durations import ago_us
from sensord.model.readings import Position
from sensord.model.times import LOCAL, time_us_of
from sensord.recordings.mcap_output import McapOutput
from sensord.recordings.transcript import TimedReading, Transcript

__all__ = ["configure", "must_be_new", "run"]

TOPICS = ("#", "$sys/devices/#")
FLUSH_S = 10.0
"""The most that a killed recorder loses; `sensord export` can still read its file."""

NOTE = "sensord.record"
"""The metadata record that names the origin of a recording."""

_MARKS = 16_384
"""A full disk loses at most two chunks, which hold fewer readings than this."""

_EXPORTED = (".csv", ".jsonl", ".parquet")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("topics", nargs="*", help="filters, + and # as in MQTT (default: # and $sys/devices/#)")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="the MCAP file to write")
    configure_url(parser)
    add(
        "--from",
        dest="start",
        default="now",
        metavar="WHERE",
        help="now (default), snapshot, -10m, EPOCH:OFFSET, or a time (ISO 8601)",
    )
    add("--to", dest="stop", metavar="WHEN", help="end before this: now, --to=-5m, or a time")
    add("--for", dest="lasting", type=duration, metavar="TIME", help="stop after this, such as 10m")
    add("--force", action="store_true", help="replace a file that exists")
    add("--limit", "--count", dest="count", type=count, metavar="N", help="stop after N readings")


def run(options: argparse.Namespace) -> int:
    """Record until interrupted or complete; return 1 if anything is missing."""
    topics = options.topics or list(TOPICS)
    check_filters(topics)
    must_be_new(options.output, is_forced=options.force)
    return uvloop.run(_record(options, topics))


def must_be_new(path: Path, *, is_forced: bool | None = None) -> None:
    """Refuse a file that exists, or a name with the extension of another format.

    ``is_forced`` is None for a command without such an option.

    Raises:
        SensordError: The name is refused; the text suggests another.
    """
    if path.exists() and not (is_forced and path.is_file()):
        force = "" if is_forced is None else ", or give --force"
        raise SensordError(f"{path}: already exists; choose another name{force}")
    if path.suffix in _EXPORTED:
        raise SensordError(
            f"{path}: the format is MCAP; name it {path.with_suffix('.mcap')},"
            f" and convert it to {path.name} with sensord export"
        )


async def _record(options: argparse.Namespace, topics: Sequence[str]) -> int:
    start = start_of(options.start)
    async with Client(
        options.url,
        name=name_of("record"),
        is_ephemeral=True,
        token=token_of(options),
        trust=trust_of(options),
    ) as client:
        if options.force:
            options.output.unlink(missing_ok=True)
        stop_us = _stop_us(options.stop, int(client.server.time_us))
        with _Report() as report, McapOutput(options.output, "") as output:
            subscription = client.subscribe(*topics, start=start)
            recorder = _Recorder(
                client, output, report, stop_us, options.count, ends_live=options.stop == "now"
            )
            failure = await recorder.run(subscription, options.lasting)
            if failure is not None and not report.readings:
                raise failure

            def last_note(readings: int) -> tuple[str, dict[str, str]]:
                said = {"url": options.url, "topics": json.dumps(list(topics))}
                position = recorder.position_behind(readings)
                return NOTE, said if position is None else said | {"position": _text(position)}

            try:
                output.complete(last_note)
            except OSError as error:
                failure = failure or SensordError(f"cannot write: {error.strerror or error}")
                with _telling(options.output):
                    output.salvage(last_note)
            report.readings = output.readings
    report.total(options.output, recorder.position_behind(report.readings))
    if failure is not None:
        raise SensordError(f"{options.output} ends early: {failure}")
    return 1 if report.gaps else 0


def _stop_us(text: str | None, now_us: int) -> int | None:
    """Read the option --to, by the daemon's clock; None for no time."""
    if text is None or text == "now":
        return None
    us = ago_us(text)
    if us is not None:
        return now_us - us
    time_us = time_us_of(text, LOCAL)
    if time_us is None:
        raise UsageError(f"--to {text}: expected now, -5m, or a time (ISO 8601)")
    return time_us


def _text(position: Position) -> str:
    return f"{position.epoch}:{position.offset}"


def _unwritable(path: Path, error: OSError) -> SensordError:
    return SensordError(f"cannot write {path}: {error.strerror or error}")


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error) from error


class _Recorder:
    """One recording at work."""

    def __init__(
        self,
        client: Client,
        output: McapOutput,
        report: _Report,
        stop_us: int | None,
        limit: int | None,
        *,
        ends_live: bool,
    ) -> None:
        """Store the parts; ``ends_live`` ends the recording when it has caught up."""
        self._marks: deque[tuple[int, Position]] = deque(maxlen=_MARKS)
        """Readings written so far, and where another recording would continue; the newest last."""
        self._client = client
        self._output = output
        self._report = report
        self._stop_us = stop_us
        self._left = (1 << 64) if limit is None else limit
        self._transcript = Transcript()
        self._ends_live = ends_live
        self._is_live = False
        self._is_complete = False
        self._greeting: object = None
        self._ahead_us = 0

    async def run(self, subscription: Subscription, lasting_s: float | None) -> SensordError | None:
        """Record; return what ended it too early."""
        loop = asyncio.get_running_loop()
        interrupted = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupted.set)
        end = None if lasting_s is None else loop.time() + lasting_s
        flushed = loop.time()
        stopping = asyncio.ensure_future(interrupted.wait())
        arriving = asyncio.ensure_future(subscription.arrived())
        try:
            await self._set_clock()
            while not self._is_enough() and (end is None or loop.time() < end):
                wait_s = REFRESH_S if end is None else min(REFRESH_S, end - loop.time())
                await asyncio.wait(
                    (stopping, arriving), timeout=wait_s, return_when=asyncio.FIRST_COMPLETED
                )
                await self._set_clock()
                if arriving.done():
                    arrived = arriving.result()
                    if arrived is None:
                        return SensordError("the daemon ended the subscription")
                    self._take(arrived)
                    arriving = asyncio.ensure_future(subscription.arrived())
                if stopping.done():
                    return None
                if loop.time() - flushed > FLUSH_S:
                    flushed = loop.time()
                    self._output.flush()
                self._report.written(self._output.bytes, is_live=self._is_live)
        except SensordError as error:
            return error
        except OSError as error:
            self._output.drop()
            return SensordError(f"cannot write: {error.strerror or error}")
        finally:
            stopping.cancel()
            arriving.cancel()
        return None

    def _is_enough(self) -> bool:
        if self._is_complete or (self._ends_live and self._is_live):
            return True
        return self._stop_us is not None and self._is_live and self._now_us() >= self._stop_us

    async def _set_clock(self) -> None:
        """Request the daemon's clock, again after each greeting."""
        if self._client.server is self._greeting:
            return
        self._greeting = self._client.server
        asked_us = time.monotonic_ns() // 1000
        with contextlib.suppress(ClientError):  # the connection was lost; the next one is asked
            self._ahead_us = await self._client.ping() - asked_us

    def _now_us(self) -> int:
        """Return the daemon's clock."""
        return time.monotonic_ns() // 1000 + self._ahead_us

    def _take(self, arrived: Arrived[Item]) -> None:
        readings: list[TimedReading] = []
        for item in arrived.items:
            match item:
                case Update(channel=channel, reading=reading, reported_us=reported_us):
                    readings.append((channel, reading, reported_us))
                case Gap():
                    self._miss(item)
                case PhaseChange(phase):
                    self._is_live = phase == "live"
                    self._report.begun()
        if not readings:
            self._transcript.passed(arrived.position)
        elif not self._write(readings, arrived.position):
            # Log times only rise, so nothing more is wanted. A part of a frame has no position.
            self._is_complete = True
            return
        if arrived.position is not None:
            if self._marks and self._marks[-1][0] == self._report.readings:
                self._marks.pop()
            self._marks.append((self._report.readings, arrived.position))

    def position_behind(self, readings: int) -> Position | None:
        """Return where another recording would continue after the first ``readings``."""
        behind = [position for count, position in self._marks if count <= readings]
        return behind[-1] if behind else None

    def _write(self, readings: list[TimedReading], position: Position | None) -> bool:
        """Write readings; return whether all of them were within the limits."""
        now_us = self._now_us()
        batch = self._transcript.batch(readings, position, now_us, is_live=self._is_live)
        batch = _within(batch, self._left, self._stop_us)
        if len(batch):
            self._output.add(batch)
            self._left -= len(batch)
            self._report.readings += len(batch)
        self._is_complete = self._left <= 0
        return len(batch) == len(readings)

    def _miss(self, gap: Gap) -> None:
        """Note a gap in the file, and report it."""
        first = self._transcript.next_offset if gap.start is None else gap.start
        offsets = 0 if gap.stop is None else max(0, gap.stop - first)
        readings = "readings" if gap.count is None else f"{gap.count} readings"
        why = f"{gap.reason}: {gap.detail}" if gap.detail else gap.reason
        self._output.hole(Hole(first, offsets, f"{readings} missing, {why}"))
        self._report.gap(f"gap: {readings} missing: {why}", gap.lost or {})


def _within(batch: Batch, limit: int, stop_us: int | None) -> Batch:
    """Keep at most ``limit`` readings, logged before ``stop_us``; log times only rise."""
    size = len(batch)
    if stop_us is not None:
        size = sum(log_ns < stop_us * 1000 for log_ns in batch.log_ns)
    size = min(size, limit)
    if size == len(batch):
        return batch
    return Batch(
        batch.offsets[0] + size,
        batch.offsets[:size],
        batch.numbers[:size],
        batch.log_ns[:size],
        batch.publish_ns[:size],
        batch.values[:size],
        None if batch.qualities is None else batch.qualities[:size],
        None if batch.restates is None else batch.restates[:size],
        {number: batch.channel(number) for number in set(batch.numbers)},
    )


class _Report(logging.Handler):
    """Reports gaps, lost connections, the end and progress on stderr."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.readings = 0
        self.gaps = 0
        self._progress = Progress(REFRESH_S)
        self._has_begun = False
        self._began = self._shown_at = time.monotonic()
        self._shown_readings = 0

    def __enter__(self) -> Self:
        logger = logging.getLogger("sensord.client")
        logger.setLevel(logging.INFO)
        logger.addHandler(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger("sensord.client").removeHandler(self)
        self._progress.wipe()

    def emit(self, record: logging.LogRecord) -> None:
        """Report that the connection was lost, or is back."""
        reason = getattr(record, "reason", "")
        self._progress.print(f"{record.getMessage()}{f': {reason}' if reason else ''}")

    def begun(self) -> None:
        """Report, once, that the recording runs, and how to end it."""
        if not self._has_begun:
            self._has_begun = True
            self._progress.print("recording; press Ctrl-C to complete the file")

    def gap(self, text: str, lost: dict[str, int]) -> None:
        """Report what is missing, and of which topics."""
        self.gaps += 1
        topics = ", ".join(f"{topic} {number}" for topic, number in list(lost.items())[:5])
        more = ", ..." if len(lost) > 5 else ""  # noqa: PLR2004  # enough to recognise them
        self._progress.print(f"{text} ({topics}{more})" if topics else text)

    def written(self, size: int, *, is_live: bool) -> None:
        """Show the progress."""
        if not self._progress.is_due:
            return
        now = time.monotonic()
        rate = (self.readings - self._shown_readings) / (now - self._shown_at)
        self._shown_at, self._shown_readings = now, self.readings
        parts = [f"{self.readings} readings", size_text(size), f"{rate:.0f}/s"]
        parts += [f"{self.gaps} gaps"] * bool(self.gaps) + ["catching up"] * (not is_live)
        self._progress.show(", ".join(parts))

    def total(self, path: Path, position: Position | None) -> None:
        """Report what was recorded."""
        parts = [f"{self.readings} readings", size_text(path.stat().st_size)]
        parts += [f"{time.monotonic() - self._began:.1f} s"]
        parts += [f"{self.gaps} gaps"] * bool(self.gaps)
        parts += [f"continue at {_text(position)}"] if position is not None else []
        self._progress.print(f"{path}: {', '.join(parts)}")
