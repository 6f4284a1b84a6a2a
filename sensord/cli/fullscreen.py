"""The terminal of `sensord monitor`: keys in, lines out, through curses.

Theory of operation. Keys are read from the loop. Lines are written by a thread of its own, for a
terminal behind a slow link blocks the writer; meanwhile newer screens replace the one that waits.
curses compares each screen with the last one and sends only what differs.
"""

from __future__ import annotations

import asyncio
import contextlib
import curses
import locale
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from sensord.terminal.keys import Keys
from sensord.terminal.lines import Line, Style

__all__ = ["FullScreen", "can_address", "has_unicode", "size_of"]

ESCAPE_S = 0.05
"""After this, an escape is a key of its own."""

USUAL = (80, 24)


def has_unicode() -> bool:
    """Return whether the terminal is expected to show more than ASCII."""
    return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"


def can_address() -> bool:
    """Return whether the terminal, as $TERM names it, can place text anywhere."""
    try:
        curses.setupterm()
    except curses.error:
        return False
    return bool(curses.tigetstr("cup")) and bool(curses.tigetstr("clear"))


def size_of() -> tuple[int, int]:
    """Return the columns and lines of the terminal."""
    try:
        found = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return USUAL
    return (found.columns or USUAL[0], found.lines or USUAL[1])


class FullScreen:
    """Owns the terminal while it is entered, and gives it back as it was."""

    def __init__(
        self,
        on_keys: Callable[[list[str]], None],
        on_resize: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._on_keys = on_keys
        self._on_resize = on_resize
        self._on_stop = on_stop
        self._keys = Keys()
        self._timer: asyncio.TimerHandle | None = None
        self._styles: dict[Style, int] = {}
        self._writer = ThreadPoolExecutor(1, "monitor-screen")
        self._window: curses.window | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._window = curses.initscr()
        curses.noecho()
        curses.cbreak()
        curses.nonl()
        with contextlib.suppress(curses.error):  # a terminal that cannot hide its cursor
            curses.curs_set(0)
        self._styles = _styles()
        self._loop.add_signal_handler(signal.SIGWINCH, self._on_resize)
        self._loop.add_signal_handler(signal.SIGINT, self._on_stop)
        self._loop.add_reader(sys.stdin.fileno(), self._read)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_reader(sys.stdin.fileno())
        self._loop.remove_signal_handler(signal.SIGWINCH)
        self._loop.remove_signal_handler(signal.SIGINT)
        if self._timer is not None:
            self._timer.cancel()
        self._writer.shutdown()
        curses.endwin()

    async def show(self, lines: Sequence[Line], *, afresh: bool = False) -> None:
        """Write a screen, and return when the terminal has accepted it."""
        await self._loop.run_in_executor(self._writer, self._write, lines, afresh)

    def _write(self, lines: Sequence[Line], afresh: bool) -> None:  # noqa: FBT001  # of an executor
        window = self._window
        assert window is not None, "it is entered"
        columns, rows = size_of()
        if window.getmaxyx() != (rows, columns):
            curses.resizeterm(rows, columns)
            afresh = True
        if afresh:
            window.clear()
        else:
            window.erase()
        for row, line in enumerate(lines[: window.getmaxyx()[0]]):
            self._write_line(window, row, line)
        window.refresh()

    def _write_line(self, window: curses.window, row: int, line: Line) -> None:
        try:
            window.move(row, 0)
            for text, style in line.spans:
                attributes = self._styles[style]
                if line.is_selected:
                    attributes |= curses.A_REVERSE
                window.addstr(text, attributes)
        except curses.error:
            pass  # the last cell of the screen, or a terminal that has just become smaller

    def _read(self) -> None:
        try:
            data = os.read(sys.stdin.fileno(), 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # the terminal is gone
            self._on_stop()
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if keys := self._keys.feed(data):
            self._on_keys(keys)
        if self._keys.is_pending:
            self._timer = self._loop.call_later(ESCAPE_S, self._flush)

    def _flush(self) -> None:
        self._timer = None
        if keys := self._keys.flush():
            self._on_keys(keys)


def _styles() -> dict[Style, int]:
    """Return the attributes of each style, in colour unless $NO_COLOR is set."""
    styles = {
        Style.PLAIN: curses.A_NORMAL,
        Style.FAINT: curses.A_DIM,
        Style.STRONG: curses.A_BOLD,
        Style.BAR: curses.A_REVERSE,
        Style.FRESH: curses.A_BOLD,
        Style.DOUBTFUL: curses.A_UNDERLINE,
        Style.BAD: curses.A_BOLD | curses.A_UNDERLINE,
        Style.PLOT: curses.A_NORMAL,
    }
    if os.environ.get("NO_COLOR") or not curses.has_colors():
        return styles
    curses.start_color()
    try:
        curses.use_default_colors()
        background = -1
    except curses.error:
        background = curses.COLOR_BLACK
    colours = {
        Style.FRESH: (curses.COLOR_GREEN, curses.A_BOLD),
        Style.DOUBTFUL: (curses.COLOR_YELLOW, curses.A_NORMAL),
        Style.BAD: (curses.COLOR_RED, curses.A_BOLD),
        Style.PLOT: (curses.COLOR_CYAN, curses.A_NORMAL),
    }
    for number, (style, (colour, attributes)) in enumerate(colours.items(), 1):
        curses.init_pair(number, colour, background)
        styles[style] = curses.color_pair(number) | attributes
    return styles
