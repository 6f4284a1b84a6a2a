"""`sensord monitor`: fill the terminal with values, devices and alarms, as they change."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sensord.cli.connection import being, client_for
from sensord.cli.fullscreen import FullScreen, can_address, has_unicode, size_of
from sensord.cli.lines import gap_line
from sensord.cli.options import check_filters, configure_client, duration
from sensord.client import Client, Control, Gap, PhaseChange, Row, Summary, Update
from sensord.errors import ProtocolError, SensordError, UsageError
from sensord.terminal.monitor import Monitor, View
from sensord.terminal.rows import Column, Past
from sensord.terminal.screen import draw
from sensord.terminal.wishes import Acknowledge, Look, Quit, Shelve, Unshelve, Wish

__all__ = ["configure", "run"]

ALARMS = "$sys/alarms/"

DRAW_S = 0.25
"""The least time between screens, unless a key is pressed: faster is not read."""

TICK_S = 1.0
"""Ages change this often."""

PLAIN_S = 10.0
"""How often the list is printed on a terminal that cannot place text."""

MOST_PLAIN = 200
"""Lines of such a list."""

INTERVALS = 240
"""Intervals of a topic's past: about the columns of a wide screen."""

LEAST_FRESH_S = 10.0
"""A topic's past is fetched again after this, or after an interval."""

ENOUGH = 200
"""Readings listed below a chart, at least, if there are as many."""

EPILOG = """\
Keys: 1 2 3 values, devices, alarms; / filter; s sort; Space pause; Enter history; ? help; q quit.
Without a terminal: sensord tail follows readings, sensord get shows the last ones.
example: sensord monitor 'plant/#'
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("topics", nargs="*", default=["#"], help="filters, + and # as in MQTT (default: #)")
    add(
        "--period",
        type=duration,
        default=DRAW_S,
        metavar="LENGTH",
        help="at most one value of a topic in each, such as 2s for a slow link (default: 250ms)",
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show the screen until it is ended."""
    check_filters(options.topics)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "sensord monitor needs a terminal; use sensord tail to follow readings, sensord get for"
            " the last values, sensord devices and sensord alarms, all with --json for programs"
        )
    return being(lambda: _monitor(options))


async def _monitor(options: argparse.Namespace) -> None:
    async with client_for(options, "monitor") as client:
        show = _Show(client, Monitor(options.url), options.topics, options.period)
        if can_address():
            await show.fill()
        else:
            await show.print()


class _Show:
    """Joins the client, the model and the terminal."""

    def __init__(
        self, client: Client, monitor: Monitor, topics: Sequence[str], period_s: float
    ) -> None:
        self._client = client
        self._monitor = monitor
        self._topics = topics
        self._period_s = period_s
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._due: asyncio.TimerHandle | None = None
        self._drawn = 0.0
        self._is_afresh = False
        self._is_plain = not has_unicode()
        self._look = asyncio.Event()
        self._wishes: asyncio.Queue[Wish] = asyncio.Queue()  # as many as somebody types
        self._skew_us = 0
        self._reckon()
        client.on_lost, client.on_back = self._lost, self._back

    # -- the clock ---------------------------------------------------------------------------------

    def _reckon(self) -> None:
        """Note how far the daemon's clock is from ours: ages are those of its readings."""
        self._skew_us = self._client.server.time_us - time.time_ns() // 1000

    def _now_us(self) -> int:
        return time.time_ns() // 1000 + self._skew_us

    # -- the screen --------------------------------------------------------------------------------

    async def fill(self) -> None:
        """Fill the terminal until a key ends it."""
        with FullScreen(self._keys, self._resized, self._stop.set) as screen:
            await self._run(lambda: self._draw(screen))

    async def print(self) -> None:
        """Print the list again and again: for a terminal that cannot place text."""
        await self._run(self._print)

    async def _run(self, draw: Callable[[], Awaitable[None]]) -> None:
        """Run what arrives, what is drawn and what is wished, until the end."""
        works: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("values", self._values),
            ("devices", self._devices),
            ("alarms", self._alarms),
            ("past", self._keep_past),
            ("wishes", self._fulfil),
            ("draw", draw),
        ]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_done(work), name=f"monitor:{n}") for n, work in works]
                await self._stop.wait()
                for task in tasks:
                    task.cancel()
        except ExceptionGroup as errors:
            known, others = errors.split(SensordError)
            if known is None or others is not None:
                raise
            raise known.exceptions[0] from None

    async def _draw(self, screen: FullScreen) -> None:
        while True:
            self._wake.clear()
            self._drawn = self._loop.time()
            afresh, self._is_afresh = self._is_afresh, False
            width, height = size_of()
            lines = draw(self._monitor, width, height, self._now_us(), is_plain=self._is_plain)
            await screen.show(lines, afresh=afresh)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass  # a second has passed: the ages are others

    async def _print(self) -> None:
        while not self._monitor.is_complete:
            await self._wake.wait()
            self._wake.clear()
        while True:
            entries = len(self._monitor.entries(View.VALUES, self._now_us()))
            height = min(MOST_PLAIN, entries + 3)
            lines = draw(self._monitor, size_of()[0], height, self._now_us(), is_plain=True)
            for line in lines[:-1]:  # without the keys
                print(line.text.rstrip())
            print(flush=True)
            await asyncio.sleep(PLAIN_S)

    def _news(self) -> None:
        """Draw soon: at once if the last time was some while ago."""
        if self._due is None:
            wait_s = max(0.0, self._drawn + DRAW_S - self._loop.time())
            self._due = self._loop.call_later(wait_s, self._draw_now)

    def _draw_now(self) -> None:
        self._due = None
        self._wake.set()

    def _resized(self) -> None:
        self._wake.set()

    def _keys(self, keys: list[str]) -> None:
        for key in keys:
            self._is_afresh |= key == "redraw"
            wish = self._monitor.press(key, self._now_us())
            if isinstance(wish, Quit):
                self._stop.set()
            elif isinstance(wish, Look):
                self._look.set()
            elif wish is not None:
                self._wishes.put_nowait(wish)
        self._wake.set()

    # -- what arrives ------------------------------------------------------------------------------

    def _lost(self, reason: str) -> None:
        self._monitor.lost(reason, self._now_us())
        self._news()

    def _back(self) -> None:
        self._monitor.back(self._now_us())
        self._reckon()
        self._news()

    async def _values(self) -> None:
        monitor = self._monitor
        readings = self._client.subscribe(*self._topics, mode="latest", period_s=self._period_s)
        try:
            async for item in readings:
                if isinstance(item, Update):
                    monitor.reading(item.channel, item.reading, item.reported_us)
                elif isinstance(item, Gap):
                    if item.reason != "conflated":  # as was asked for
                        monitor.gap = gap_line(item)
                elif item == PhaseChange("live"):
                    monitor.is_complete = True
                self._news()
        except ProtocolError as exc:
            self._refused(View.VALUES, exc)

    async def _devices(self) -> None:
        try:
            async for item in self._client.devices(follow=True):
                if isinstance(item, Row):
                    self._monitor.device(str(item.fields.get("device", "?")), item.fields)
                    self._news()
        except ProtocolError as exc:
            self._refused(View.DEVICES, exc)

    async def _alarms(self) -> None:
        try:
            async for item in self._client.subscribe(f"{ALARMS}+"):
                if isinstance(item, Update) and isinstance(item.reading.value, dict):
                    self._monitor.alarm(item.topic.removeprefix(ALARMS), item.reading.value)
                    self._news()
        except ProtocolError as exc:
            self._refused(View.ALARMS, exc)

    def _refused(self, view: View, refusal: ProtocolError) -> None:
        """Show why a list is missing."""
        self._monitor.refusals[view] = str(refusal)
        self._monitor.is_complete = True
        self._news()

    # -- what keys wish ----------------------------------------------------------------------------

    async def _fulfil(self) -> None:
        while True:
            wish = await self._wishes.get()
            try:
                self._monitor.message = await self._act(wish)
            except SensordError as exc:
                self._monitor.message = str(exc)
            self._wake.set()

    async def _act(self, wish: Wish) -> str:
        match wish:
            case Acknowledge(alarm, text):
                args: dict[str, Any] = {"act": "acknowledge", "alarm": alarm, "text": text}
            case Shelve(alarm, for_s, text):
                args = {"act": "shelve", "alarm": alarm, "text": text, "for_s": for_s}
            case Unshelve(alarm):
                args = {"act": "unshelve", "alarm": alarm}
            case _:
                return ""
        return f"{args['alarm']}: {await Control(self._client).call('alarms', args)}"

    # -- a topic's past ----------------------------------------------------------------------------

    async def _keep_past(self) -> None:
        """Fetch the past of the topic that is looked at, and again as time passes."""
        while True:
            self._look.clear()
            past = self._monitor.past
            if past is None:
                await self._look.wait()
                continue
            self._monitor.looked(await self._fetched(past.topic, past.span_s))
            self._wake.set()
            try:
                async with asyncio.timeout(max(LEAST_FRESH_S, past.span_s / INTERVALS)):
                    await self._look.wait()
            except TimeoutError:
                pass  # it has become older

    async def _fetched(self, topic: str, span_s: float) -> Past:
        interval_s = max(1.0, span_s / INTERVALS)
        now_us = self._now_us()
        past = Past(topic, span_s, interval_s, start_us=now_us - round(span_s * 1e6))
        past.is_known = True
        try:
            since_us = await self._summarize(past)
            if since_us is not None:
                async for item in self._client.history(topic, start=since_us):
                    if self._look.is_set():
                        break
                    if isinstance(item, Update):
                        past.readings.append(item.reading)
        except ProtocolError as exc:
            past.fault = str(exc)
        return past

    async def _summarize(self, past: Past) -> int | None:
        """Collect the intervals; return since when there are enough readings to list."""
        counts: list[tuple[int, int]] = []
        start = f"-{past.span_s:.0f}s"
        async for item in self._client.summaries(
            past.topic, interval_s=past.interval_s, start=start
        ):
            if self._look.is_set():
                return None
            if isinstance(item, Gap):
                past.gaps.append(gap_line(item).removeprefix("-- "))
            elif isinstance(item, Summary):
                counts.append((item.time_us, item.count))
                low, high, mean = item.minimum, item.maximum, item.mean
                if low is not None and high is not None and mean is not None:
                    past.columns.append(Column(item.time_us, low, high, mean, item.count))
        total, since_us = 0, None
        for time_us, count in reversed(counts):
            total, since_us = total + count, time_us
            if total >= ENOUGH:
                break
        return since_us


async def _done(work: Callable[[], Awaitable[None]]) -> None:
    await work()
