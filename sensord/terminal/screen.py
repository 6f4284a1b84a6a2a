"""Draw the model of `sensord monitor` as lines of styled text, for a screen of any size.

Pure. Only the entries that are visible are looked at. Meaning never rests on a style alone: each
quality and state has its word and its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensord.model.readings import Level, Reading
from sensord.terminal.cells import clean, cut, fit, width_of
from sensord.terminal.lines import PLAIN_MARKS, Line, Marks, Span, Style, bounded
from sensord.terminal.monitor import (
    BACK_SHOWN_US,
    FRESH_US,
    LISTS,
    MAX_TOPICS,
    Monitor,
    View,
    is_well,
)
from sensord.terminal.plots import cells_of, chart, spark
from sensord.terminal.rows import Past, Row
from sensord.terminal.values import (
    age_text,
    clock_text,
    day_text,
    plain_value,
    unit_text,
    zone_text,
)

__all__ = ["draw"]


FEW_LINES = 6
"""On a screen with fewer lines, the list gets every line but the first and the last."""

NARROW = 36
"""On a narrower screen an entry is its name, its value and its shape."""

HELP = (
    "Look",
    "  1 2 3, Tab       values, devices, alarms",
    "  ↑ ↓ PgUp PgDn    move; also j k g G, Home, End",
    "  Enter            a topic's history; + and - change how far back",
    "  Esc              back; end the filter",
    "Choose",
    "  /                filter as you type: words, or + and # as in MQTT",
    "  s                sort: topic, worst, newest, oldest first",
    "  Space            stand still, and run again",
    "Act, in alarms",
    "  a                acknowledge, with a note",
    "  z                shelve for some time, with a note",
    "  u                end the shelving",
    "Shapes",
    "  ● changed just now   ○ good   = confirmed by the device, unchanged",
    "  ? uncertain   ✗ bad   ~ the connection is lost, and this is old",
    "q ends the monitor.",
)


def draw(
    monitor: Monitor, width: int, height: int, now_us: int, *, is_plain: bool = False
) -> list[Line]:
    """Return exactly ``height`` lines, none wider than ``width`` cells."""
    marks = PLAIN_MARKS if is_plain else Marks()
    if width < 1 or height < 1:
        return []
    pen = _Pen(monitor, width, now_us, marks)
    if height == 1:
        return [bounded(pen.last_line(), width, is_plain=is_plain)]
    body = pen.body(height - 2)
    lines = [pen.title(), *body, pen.last_line()]
    return [bounded(line, width, is_plain=is_plain) for line in lines]


class _Pen:
    """Draws one screen."""

    def __init__(self, monitor: Monitor, width: int, now_us: int, marks: Marks) -> None:
        self._monitor = monitor
        self._width = width
        self._now_us = now_us
        self._marks = marks
        # While it is paused or lost, ages are those of that moment.
        self._as_of_us = monitor.paused_us or now_us
        self._part = ""
        """Which entries are seen, if not all are."""

    # -- the frame ---------------------------------------------------------------------------------

    def title(self) -> Line:
        """Name the views, what waits in them, and the time."""
        monitor = self._monitor
        clock = f" {clock_text(self._now_us)} {zone_text(self._now_us)}"
        alarms = f"{monitor.waiting}!" if monitor.waiting else ""
        devices = f"{monitor.troubled}!" if monitor.troubled else ""
        parts = []
        for number, (view, more) in enumerate(zip(LISTS, ("", devices, alarms), strict=True), 1):
            name = f"{number} {view.value}{' ' + more if more else ''}"
            parts.append(f"[{name}]" if view is monitor.view else f" {name} ")
        left = "".join(parts)
        if width_of(left) > self._width:
            left = f"[{monitor.view.value}] {alarms or devices}"
        notes = self._notes()
        room = self._width - width_of(left) - width_of(clock)
        if room < width_of(notes):
            clock = ""
            room = self._width - width_of(left)
        return Line((Span(left + fit(notes, room) + clock, Style.BAR),))

    def _notes(self) -> str:
        monitor = self._monitor
        notes = []
        if monitor.lost_us is not None:
            notes.append("LINK LOST")
        if monitor.is_paused:
            notes.append("PAUSED")
        if self._part:
            notes.append(self._part)
        if monitor.view is View.VALUES:
            notes.append(f"by {monitor.sort.value}")
        if monitor.pattern and not monitor.is_typing and monitor.view in LISTS:
            notes.append(f"filter {monitor.pattern}")
        return "  " + "  ".join(notes)

    def last_line(self) -> Line:
        """Show what is typed, what was lost, or which keys there are."""
        monitor = self._monitor
        if monitor.prompt is not None:
            return self._typed(f"{monitor.prompt.question} ", monitor.prompt.typed)
        if monitor.is_typing:
            return self._typed("filter: ", monitor.pattern)
        if monitor.lost_us is not None:
            age = age_text((self._now_us - monitor.lost_us) / 1e6)
            when = clock_text(monitor.lost_us)
            text = (
                f"connection lost {age} ago ({monitor.lost_reason}); values as of {when}, retrying"
            )
            return Line((Span(text, Style.BAD),))
        if monitor.message:
            return Line((Span(monitor.message, Style.STRONG),))
        if monitor.back_us is not None and self._now_us - monitor.back_us < BACK_SHOWN_US:
            return Line((Span(f"connection is back after {monitor.away_s:.0f} s", Style.STRONG),))
        if monitor.gap:
            return Line((Span(monitor.gap, Style.DOUBTFUL),))
        return Line((Span(self._keys(), Style.FAINT),))

    def _typed(self, question: str, typed: str) -> Line:
        room = max(1, self._width - width_of(question) - 1)
        shown = cut(clean(typed), room, keeps_end=True)
        return Line((Span(question, Style.STRONG), Span(f"{shown}_")))

    def _keys(self) -> str:
        match self._monitor.view:
            case View.VALUES:
                return "/ filter  s sort  Space pause  Enter history  ? help  q quit"
            case View.ALARMS:
                return "a acknowledge  z shelve  u unshelve  / filter  ? help  q quit"
            case View.DEVICES:
                return "/ filter  Space pause  Tab next  ? help  q quit"
            case View.PAST:
                return "+ - span  r refresh  ↑ ↓ scroll  Esc back  q quit"
            case View.HELP:
                return "Esc back  q quit"

    def body(self, height: int) -> list[Line]:
        """Draw what is between the first and the last line."""
        monitor = self._monitor
        monitor.page = max(1, height - 1)
        if monitor.view is View.HELP:
            lines = self._scrolled([Line((Span(text),)) for text in HELP], height)
        elif monitor.view is View.PAST:
            lines = self._past(height)
        elif refusal := monitor.refusals.get(monitor.view):
            lines = [Line((Span(f"not shown: {refusal}", Style.BAD),))]
        else:
            lines = self._list(height)
        return (lines + [Line()] * height)[:height]

    def _scrolled(self, lines: list[Line], height: int) -> list[Line]:
        """Show a part of the lines; remember a place that is not beyond the end."""
        monitor = self._monitor
        top = max(0, min(monitor.top.get(monitor.view, 0), len(lines) - height))
        monitor.top[monitor.view] = top
        return lines[top : top + height]

    # -- lists -------------------------------------------------------------------------------------

    def _list(self, height: int) -> list[Line]:
        monitor, view = self._monitor, self._monitor.view
        names = monitor.entries(view, self._now_us)
        if not names:
            return [Line((Span(self._nothing(), Style.FAINT),))]
        has_head = height >= FEW_LINES - 2 and self._width >= NARROW
        room = max(1, height - has_head)
        monitor.page = room
        place = monitor.selected(view, names)
        top = monitor.top.get(view, 0)
        top = max(0, min(max(top, place - room + 1), place, len(names) - 1))
        if len(names) <= room:
            top = 0
        monitor.top[view] = top
        shown = names[top : top + room]
        if len(names) > room:
            self._part = f"{top + 1}-{top + len(shown)} of {len(names)}"
        if view is View.VALUES and monitor.unkept:
            self._part += f", only {MAX_TOPICS} are kept: name a filter"
        if view is View.VALUES:
            head, lines = self._values(shown)
        elif view is View.DEVICES:
            head, lines = self._devices(shown)
        else:
            head, lines = self._alarms(shown)
        lines = [Line(line.spans, top + i == place) for i, line in enumerate(lines)]
        return [head, *lines] if has_head else lines

    def _nothing(self) -> str:
        monitor = self._monitor
        if monitor.pattern:
            return f"nothing matches {monitor.pattern}; Esc ends the filter"
        match monitor.view:
            case View.VALUES:
                return "no readings yet" if monitor.is_complete else "waiting for the last values"
            case View.ALARMS:
                return "no alarms are configured"
            case _:
                return "no devices"

    def _values(self, shown: list[str]) -> tuple[Line, list[Line]]:
        rows = [self._monitor.rows[name] for name in shown]
        plan = _plan(rows, self._width)
        head = "  " + fit("TOPIC", plan.topic)
        head += " " + fit("VALUE", plan.value, is_right=True)
        head += " " + fit("UNIT", plan.unit) if plan.unit else ""
        head += " " + fit("AGE", plan.age, is_right=True) if plan.age else ""
        head += "  " + fit("QUALITY", plan.words) if plan.words else ""
        head += " " + fit("LAST MINUTES", plan.spark, is_right=True) if plan.spark else ""
        return Line((Span(head, Style.FAINT),)), [self._value(row, plan) for row in rows]

    def _value(self, row: Row, plan: _Plan) -> Line:
        mark, word, style = self._judged(row)
        reading, metadata = row.reading, row.channel.metadata
        value = clean(plain_value(reading.value, metadata.decimals))
        if reading.value is None:
            value = "-"
        is_fresh = style is Style.FRESH
        spans = [
            Span(mark + " ", style),
            Span(fit(clean(row.topic), plan.topic, keeps_end=True) + " "),
            Span(
                fit(value, plan.value, is_right=True),
                Style.STRONG if is_fresh else Style.FAINT if style is Style.FAINT else style,
            ),
        ]
        if plan.unit:
            spans.append(Span(" " + fit(clean(unit_text(metadata.unit)), plan.unit)))
        if plan.age:
            age = age_text((self._as_of_us - reading.time_us) / 1e6)
            spans.append(Span(" " + fit(age, plan.age, is_right=True)))
        if plan.words:
            spans.append(Span("  " + fit(word, plan.words), style))
        if plan.spark:
            text = spark(row.moments(self._as_of_us), plan.spark, is_plain=self._marks.is_plain)
            spans.append(Span(" " + text, Style.PLOT))
        return Line(tuple(spans))

    def _judged(self, row: Row) -> tuple[str, str, Style]:
        """Return the shape, the word and the style of a value."""
        marks, reading = self._marks, row.reading
        if self._monitor.lost_us is not None:
            return marks.stale, "stale, no link", Style.FAINT
        quality = reading.quality
        if quality.level is Level.BAD:
            return marks.bad, f"bad: {quality.reason}", Style.BAD
        if quality.level is Level.UNCERTAIN:
            return marks.doubtful, f"uncertain: {quality.reason}", Style.DOUBTFUL
        if reading.restates:
            age = age_text((self._as_of_us - row.reported_us) / 1e6)
            return marks.confirmed, f"confirmed {age}", Style.PLAIN
        if self._as_of_us - row.changed_us < FRESH_US:
            return marks.changed, "good, changed", Style.FRESH
        return marks.same, "good", Style.PLAIN

    def _devices(self, shown: list[str]) -> tuple[Line, list[Line]]:
        states = [(name, self._monitor.devices[name]) for name in shown]
        width = min(max(_longest(shown, 6), len("DEVICE")), max(6, self._width // 3))
        head = f"  {fit('DEVICE', width)} {'STATE':<11} {'SINCE':>5} {'LAST':>5} {'READINGS':>9}"
        head += f" {'FAULTS':>6}  DETAIL"
        return Line((Span(head, Style.FAINT),)), [
            self._device(name, state, width) for name, state in states
        ]

    def _device(self, name: str, state: dict[str, Any], width: int) -> Line:
        is_up = is_well(state)
        is_lost = self._monitor.lost_us is not None
        mark = self._marks.stale if is_lost else self._marks.same if is_up else self._marks.bad
        style = Style.FAINT if is_lost else Style.PLAIN if is_up else Style.BAD
        faults = state.get("faults")
        count = sum(faults.values()) if isinstance(faults, dict) else 0
        last = state.get("last_reading_us", state.get("last_seen_us"))
        text = (
            f" {self._ago(state.get('since_us')):>5} {self._ago(last):>5}"
            f" {state.get('readings', '')!s:>9} {count:>6}  "
        )
        detail = str(state.get("detail") or state.get("last_fault") or "")
        if not detail and state.get("connection"):
            detail = f"behind {state['connection']}"
        return Line(
            (
                Span(f"{mark} ", style),
                Span(f"{fit(clean(name), width, keeps_end=True)} "),
                Span(fit(str(state.get("state", "?")), 11), style),
                Span(text),
                Span(detail, style),
            )
        )

    def _ago(self, time_us: object) -> str:
        if not isinstance(time_us, int) or not time_us:
            return "-"
        return age_text((self._as_of_us - time_us) / 1e6)

    def _alarms(self, shown: list[str]) -> tuple[Line, list[Line]]:
        width = min(max(_longest(shown, 5), len("ALARM")), max(6, self._width // 3))
        head = (
            f"  {fit('ALARM', width)} {'STATE':<12} {'PRIORITY':<8} {'SINCE':>5} {'VALUE':>9}  TEXT"
        )
        return Line((Span(head, Style.FAINT),)), [
            self._alarm(name, self._monitor.alarms[name], width) for name in shown
        ]

    def _alarm(self, name: str, alarm: dict[str, Any], width: int) -> Line:
        marks = self._marks
        state = str(alarm.get("state", "?"))
        shelved = alarm.get("shelved")
        is_lost = self._monitor.lost_us is not None
        if is_lost:
            mark, style = marks.stale, Style.FAINT
        elif shelved:
            mark, style = marks.same, Style.FAINT
        elif state in {"raised", "cleared"}:
            mark, style = "!", Style.BAD
        elif state == "acknowledged":
            mark, style = marks.doubtful, Style.DOUBTFUL
        else:
            mark, style = marks.same, Style.PLAIN
        value = "-" if alarm.get("value") is None else plain_value(alarm["value"], None)
        return Line(
            (
                Span(f"{mark} ", style),
                Span(f"{fit(clean(name), width, keeps_end=True)} "),
                Span(fit("shelved" if shelved else state, 12), style),
                Span(
                    f" {alarm.get('priority', '')!s:<8} {self._ago(alarm.get('since_us')):>5}"
                    f" {fit(clean(value), 9, is_right=True)}  {_alarm_text(alarm)}"
                ),
            )
        )

    # -- a topic's past ----------------------------------------------------------------------------

    def _past(self, height: int) -> list[Line]:
        monitor, past = self._monitor, self._monitor.past
        if past is None:
            return []
        row = monitor.rows.get(past.topic)
        lines = [self._now(past, row)]
        if past.fault:
            return [*lines, Line((Span(f"no history: {past.fault}", Style.BAD),))]
        if not past.is_known:
            return [*lines, Line((Span("reading the history", Style.FAINT),))]
        decimals = None if row is None else row.channel.metadata.decimals
        plot_height = max(0, min(16, (height - 1) // 2 - 2))
        if past.columns and plot_height >= 1:
            lines += self._plot(past, plot_height, decimals)
        lines += [Line((Span(gap, Style.DOUBTFUL),)) for gap in past.gaps[-2:]]
        room = height - len(lines)
        if room <= 0:
            return lines[:height]
        readings = [self._reading(one, decimals) for one in reversed(past.readings)]
        if not readings and not past.columns:
            readings = [Line((Span("no readings in this time", Style.FAINT),))]
        return lines + self._scrolled(readings, room)

    def _now(self, past: Past, row: Row | None) -> Line:
        span = _span_text(past.span_s)
        if row is None:
            return Line((Span(f"{past.topic}, the last {span}", Style.STRONG),))
        mark, word, style = self._judged(row)
        metadata = row.channel.metadata
        value = plain_value(row.reading.value, metadata.decimals)
        unit = unit_text(metadata.unit)
        text = f"{past.topic}  {value} {unit}".rstrip()
        if self._width < NARROW:
            text = f"{value} {unit}  {past.topic}"
        more = f", the last {span}  {metadata.description}".rstrip()
        return Line((Span(f"{mark} ", style), Span(text, Style.STRONG), Span(f"  {word}{more}")))

    def _plot(self, past: Past, height: int, decimals: int | None) -> list[Line]:
        low = min(one.low for one in past.columns)
        high = max(one.high for one in past.columns)
        places = decimals if decimals is not None else 2
        labels = [f"{number:.{places}f}" for number in (high, low)]
        margin = max(len(label) for label in labels)
        width = max(1, self._width - margin - 1)
        numbers = _spread(past, width)
        drawn = chart(numbers, height, is_plain=self._marks.is_plain)
        lines = []
        for i, text in enumerate(drawn):
            label = labels[0] if i == 0 else labels[1] if i == height - 1 else ""
            spans = (Span(f"{label:>{margin}} ", Style.FAINT), Span(text, Style.PLOT))
            lines.append(Line(spans))
        begin, end = day_text(past.start_us), "now"
        axis = f"{'':>{margin}} {begin}{end:>{max(4, width - len(begin))}}"
        lines.append(Line((Span(axis, Style.FAINT),)))
        return lines

    def _reading(self, reading: Reading, decimals: int | None) -> Line:
        quality = reading.quality
        word = "confirmed" if reading.restates else "good"
        style = Style.PLAIN
        if quality.level is not Level.GOOD:
            word = f"{quality.level.name.lower()}: {quality.reason}"
            style = Style.BAD if quality.level is Level.BAD else Style.DOUBTFUL
        value = "-" if reading.value is None else clean(plain_value(reading.value, decimals))
        return Line(
            (
                Span(f"{day_text(reading.time_us)} {fit(value, 14, is_right=True)}  "),
                Span(word, style),
            )
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """The widths of the columns; one without room has none."""

    topic: int
    value: int
    unit: int
    age: int
    words: int
    spark: int


def _plan(rows: list[Row], width: int) -> _Plan:
    """Share the width: topic and value always, then unit, age, quality and sparkline."""
    longest = _longest([row.topic for row in rows], 5)
    value = max((_value_width(row) for row in rows), default=5)
    value = max(5, min(value, 14 if width >= NARROW else max(4, width // 2 - 2)))
    unit = age = words = plot = 0
    if width >= NARROW:
        unit = max(4, min(8, max(width_of(unit_text(row.channel.metadata.unit)) for row in rows)))
        age = 5
    left = width - 3 - value - bool(unit) - unit - bool(age) - age
    if left >= 34:  # noqa: PLR2004  # 18 of a topic, and the word
        words = 14 if left < 70 else 24  # noqa: PLR2004  # with its reason
        left -= words + 2
    topic = min(longest, left)
    left -= topic
    if left < 9 and words and topic > 24 and width >= 72:  # noqa: PLR2004  # a sparkline says more
        topic = max(24, topic - (9 - left))
        left = width - 3 - value - unit - 1 - age - 1 - words - 2 - topic
    if words and left >= 9:  # noqa: PLR2004  # a sparkline of eight cells
        plot = min(32, left - 1)
        left -= plot + 1
        topic += min(left, max(0, longest - topic))
    return _Plan(max(1, topic), value, unit, age, words, plot)


def _value_width(row: Row) -> int:
    return width_of(clean(plain_value(row.reading.value, row.channel.metadata.decimals)))


def _longest(names: list[str], least: int) -> int:
    return max((width_of(clean(name)) for name in names), default=least)


def _alarm_text(alarm: dict[str, Any]) -> str:
    notes = [str(alarm.get("text") or ""), str(alarm.get("topic") or "")]
    if isinstance(act := alarm.get("acknowledged"), dict):
        notes.append(f"acknowledged by {_by(act)} {act.get('text') or ''}".strip())
    if isinstance(act := alarm.get("shelved"), dict):
        until = day_text(int(act.get("until_us") or 0))
        notes.append(f"until {until} by {_by(act)} {act.get('text') or ''}".strip())
    return "; ".join(note for note in notes if note)


def _by(act: dict[str, Any]) -> str:
    by = act.get("by")
    return str(by.get("name") or by.get("id")) if isinstance(by, dict) else "?"


def _span_text(span_s: float) -> str:
    for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if span_s >= length:
            return f"{span_s / length:g} {name}"
    return f"{span_s:g} s"


def _spread(past: Past, width: int) -> list[float | None]:
    """Put the intervals into the columns of a chart; a column without a reading is a hole."""
    sums: list[list[float]] = [[] for _ in range(width)]
    stop_us = past.start_us + round(past.span_s * 1e6)
    for one in past.columns:
        for cell in cells_of(one.time_us, past.interval_s, past.start_us, stop_us, width):
            sums[cell].append(one.mean)
    return [sum(found) / len(found) if found else None for found in sums]
