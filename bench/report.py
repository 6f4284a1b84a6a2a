"""What a benchmark found: figures beside their goals, as a table for people or lines of JSON.

A figure has a goal for its value, or for its ratio to a peer that was measured in the same run:
machines differ and are noisy, ratios much less so.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import json
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["Figure", "Options", "Report", "Unavailable", "main", "median", "render"]


class Unavailable(Exception):  # noqa: N818  # not a fault: something is not installed here
    """Something that a figure needs is not here; the text says what, and how to get it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    ``value`` is None for what could not be measured; ``missing`` says why. ``goal`` is the most
    that ``value`` should be, or, if ``goal_of`` says so, the most that ``ratio`` should be.
    """

    bench: str
    figure: str
    value: float | None
    unit: str
    goal: float | None = None
    goal_of: str = "value"
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    note: str = ""
    missing: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, or None if there is none or nothing was measured."""
        reached = self.ratio if self.goal_of == "ratio" else self.value
        return None if self.goal is None or reached is None else reached <= self.goal


@dataclass(frozen=True, slots=True)
class Options:
    """What every benchmark is told: ``brief`` is for CI, where only the result's shape counts."""

    brief: bool
    repeats: int
    more: argparse.Namespace


class Report:
    """Collects the figures of one benchmark; with ``as_json`` each is printed at once."""

    def __init__(self, bench: str, *, as_json: bool) -> None:
        self.figures: list[Figure] = []
        self._bench = bench
        self._as_json = as_json

    def add(
        self,
        figure: str,
        value: float,
        unit: str,
        *,
        goal: float | None = None,
        peer: str | None = None,
        peer_value: float | None = None,
        ratio: float | None = None,
        note: str = "",
    ) -> None:
        """Take a figure; with a ``ratio`` the goal is the ratio's."""
        goal_of = "value" if ratio is None else "ratio"
        self._take(
            Figure(self._bench, figure, value, unit, goal, goal_of, peer, peer_value, ratio, note)
        )

    def missing(self, figure: str, unit: str, why: object, *, peer: str | None = None) -> None:
        """Say that a figure could not be measured."""
        self._take(Figure(self._bench, figure, None, unit, peer=peer, missing=str(why)))

    def say(self, text: str) -> None:
        """Tell a person what is going on."""
        if not self._as_json:
            print(text, file=sys.stderr, flush=True)

    def _take(self, figure: Figure) -> None:
        self.figures.append(figure)
        if self._as_json:
            print(json.dumps({**asdict(figure), "met": figure.met}), flush=True)

    def print(self) -> None:
        """Print the table, unless the lines of JSON are out already."""
        if not self._as_json:
            print(render(self.figures))


def median(values: Iterable[float]) -> float:
    """Return the median: one disturbed repeat does not move it."""
    return statistics.median(values)


def main(
    bench: str,
    description: str,
    measure: Callable[[Report, Options], None],
    configure: Callable[[argparse.ArgumentParser], None] | None = None,
    *,
    repeats: int = 3,
) -> int:
    """Run one benchmark as a command; return its exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{bench}", description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object a figure")
    parser.add_argument("--brief", action="store_true", help="take seconds; figures are rough")
    parser.add_argument(
        "--repeats", type=int, help=f"medians are over this many (default {repeats}, brief 1)"
    )
    if configure is not None:
        configure(parser)
    given = parser.parse_args()
    report = Report(bench, as_json=given.json)
    if not given.brief:  # tests run several of these at once, and others beside them
        _come_first(report)
    measure(report, Options(given.brief, given.repeats or (1 if given.brief else repeats), given))
    report.print()
    return 0


PRIORITY = -15


def _come_first(report: Report) -> None:
    """Let everything measured here, peers included, go before whatever else the machine does.

    A server that waits for its turn finds more to do at once, so its work per reading seems less.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    except PermissionError:
        report.say("not root: at normal priority, so keep the machine free for this")
        return
    # Where Linux shares the processor among sessions, a priority counts only within one's own;
    # the session's is taken back at the end, for a shell may be in it.
    session = Path("/proc/self/autogroup")
    with contextlib.suppress(OSError):
        before = session.read_text().split()[-1]
        session.write_text(str(PRIORITY))
        atexit.register(session.write_text, before)


def render(figures: Iterable[Figure]) -> str:
    """Write figures as a table."""
    head = ("figure", "sensord", "unit", "goal", "peer", "its value", "ratio", "goal met", "note")
    rows = [head, *(_row(figure) for figure in figures)]
    used = [column for column in range(len(head)) if any(row[column] for row in rows[1:])]
    widths = {column: max(len(row[column]) for row in rows) for column in used}
    lines = ["  ".join(row[c].ljust(widths[c]) for c in used).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * widths[c] for c in used))
    return "\n".join(lines)


def _row(figure: Figure) -> tuple[str, ...]:
    if figure.value is None:
        name, peer = figure.figure, figure.peer or ""
        return (name, "", figure.unit, "", peer, "", "", "", f"not run: {figure.missing}")
    goal = ""
    if figure.goal is not None:
        goal = f"≤ {_short(figure.goal)}" + (" of its" if figure.goal_of == "ratio" else "")
    met = {True: "yes", False: "NO", None: ""}[figure.met]
    return (
        figure.figure,
        _short(figure.value),
        figure.unit,
        goal,
        figure.peer or "",
        _short(figure.peer_value),
        _short(figure.ratio),
        met,
        figure.note,
    )


def _short(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e9:  # a whole number people can read
        return f"{int(value):,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def from_json(line: Mapping[str, Any]) -> Figure:
    """Read what ``--json`` printed; unknown keys are left out."""
    known = {name: line[name] for name in Figure.__dataclass_fields__ if name in line}
    return Figure(**{"bench": "", "unit": "", **known})
