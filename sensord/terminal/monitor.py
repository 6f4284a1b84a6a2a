"""The model of `sensord monitor`: what it knows, and what a key changes.

Pure: readings, rows and keys come in, `sensord/terminal/screen.py` draws it. What a key wants from
the daemon is returned as a *wish*, which the command carries out.

Bounded: `MAX_TOPICS` topics, a few numbers of each, and `MAX_PAST` readings of the one topic whose
past is shown.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sensord.model.durations import seconds_of
from sensord.model.readings import Channel, Level, Reading
from sensord.model.topics import filter_fault, matches
from sensord.terminal.rows import Past, Row
from sensord.terminal.wishes import Acknowledge, Look, Quit, Shelve, Unshelve, Wish

__all__ = ["MAX_TOPICS", "Monitor", "Prompt", "Sort", "View"]

MAX_TOPICS = 10_000
"""More are counted, and not kept: name a filter."""

BACK_SHOWN_US = 10_000_000
"""How long the return of the connection is shown."""

FRESH_US = 2_000_000
"""How long a change is marked."""

MAX_TYPED = 200


class View(enum.Enum):
    """What the screen shows; the value is its title."""

    VALUES = "values"
    DEVICES = "devices"
    ALARMS = "alarms"
    PAST = "history"
    HELP = "help"


LISTS = (View.VALUES, View.DEVICES, View.ALARMS)


class Sort(enum.Enum):
    """The order of the values."""

    TOPIC = "topic"
    WORST = "worst first"
    NEWEST = "newest first"
    OLDEST = "oldest first"


@dataclass(slots=True)
class Prompt:
    """A line that a person types."""

    question: str
    typed: str
    accept: Callable[[str], Wish | None]


SPANS_S = (600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)

_STATES = {"raised": 0, "cleared": 1, "acknowledged": 2, "normal": 3}
_PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_WELL = {"up", "online", "running"}


class Monitor:
    """Everything that the screen shows, and what keys change of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.view = View.VALUES
        self.sort = Sort.TOPIC
        self.pattern = ""
        """What the lists are filtered by."""
        self.is_typing = False
        self.prompt: Prompt | None = None
        self.past: Past | None = None
        self.message = ""
        self.is_complete = False
        """Whether the last values have all arrived."""
        self.refusals: dict[View, str] = {}
        """Why a list is not shown."""
        self.gap = ""
        """The newest gap, in words."""
        self.unkept = 0
        """Readings of topics beyond the bound."""
        self.lost_us: int | None = None
        self.lost_reason = ""
        self.back_us: int | None = None
        self.away_s = 0.0
        self.paused_us: int | None = None
        self.top: dict[View, int] = {}
        """The first entry that is drawn in each list."""
        self.page = 10
        """Entries of a screen; drawing sets it."""
        self._rows: dict[str, Row] = {}
        self._devices: dict[str, dict[str, Any]] = {}
        self._alarms: dict[str, dict[str, Any]] = {}
        self._held: (
            tuple[dict[str, Row], dict[str, dict[str, Any]], dict[str, dict[str, Any]]] | None
        ) = None
        self._selected: dict[View, str] = {}
        self._order: list[str] = []
        self._is_order_due = True
        self._ordered_us = 0
        self._back_to = View.VALUES

    # -- what arrives ------------------------------------------------------------------------------

    def reading(self, channel: Channel, reading: Reading, reported_us: int) -> None:
        """Keep a reading as the last value of its topic."""
        topic = channel.topic
        row = self._rows.get(topic)
        if row is None:
            if len(self._rows) >= MAX_TOPICS:
                self.unkept += 1
                return
            row = self._rows[topic] = Row(channel, reading, reported_us, reading.time_us)
            self._is_order_due = True
        else:
            row.channel, row.reading, row.reported_us = channel, reading, reported_us
        if not reading.restates:
            row.changed_us = reported_us
        row.put(reading.value if reading.quality.level < Level.BAD else None, reported_us)
        past = self.past
        if past is not None and past.topic == topic:
            past.readings.append(reading)

    def device(self, name: str, state: dict[str, Any]) -> None:
        """Keep the state of a device."""
        self._devices[name] = state

    def alarm(self, name: str, state: dict[str, Any]) -> None:
        """Keep the state of an alarm."""
        self._alarms[name] = state

    def looked(self, past: Past) -> None:
        """Show a topic's past, unless another one is looked at by now."""
        if self.past is not None and (past.topic, past.span_s) == (
            self.past.topic,
            self.past.span_s,
        ):
            newest_us = past.readings[-1].time_us if past.readings else 0
            past.readings.extend(one for one in self.past.readings if one.time_us > newest_us)
            self.past = past

    def lost(self, reason: str, now_us: int) -> None:
        """Mark everything as old: the connection is lost."""
        if self.lost_us is None:
            self.lost_us, self.back_us = now_us, None
        self.lost_reason = reason

    def back(self, now_us: int) -> None:
        """Mark everything as current again."""
        if self.lost_us is not None:
            self.away_s = max(0.0, (now_us - self.lost_us) / 1e6)
        self.lost_us, self.back_us = None, now_us

    # -- what is shown -----------------------------------------------------------------------------

    @property
    def is_paused(self) -> bool:
        """Whether the screen stands still."""
        return self.paused_us is not None

    @property
    def rows(self) -> dict[str, Row]:
        """The topics, as of the pause if there is one."""
        return self._rows if self._held is None else self._held[0]

    @property
    def devices(self) -> dict[str, dict[str, Any]]:
        """The devices, likewise."""
        return self._devices if self._held is None else self._held[1]

    @property
    def alarms(self) -> dict[str, dict[str, Any]]:
        """The alarms, likewise."""
        return self._alarms if self._held is None else self._held[2]

    @property
    def waiting(self) -> int:
        """How many alarms wait to be acknowledged, also during a pause."""
        return sum(
            one.get("state") in {"raised", "cleared"} and not one.get("shelved")
            for one in self._alarms.values()
        )

    @property
    def troubled(self) -> int:
        """How many devices are not well."""
        return sum(not is_well(one) for one in self._devices.values())

    def entries(self, view: View, now_us: int) -> list[str]:
        """Return the names in a list, filtered and in order."""
        if view is View.VALUES:
            return self._topics(now_us)
        if view is View.DEVICES:
            found = [name for name, one in self.devices.items() if self._has(name, _words(one))]
            return sorted(found, key=lambda name: (is_well(self.devices[name]), name))
        if view is View.ALARMS:
            found = [name for name, one in self.alarms.items() if self._has(name, _words(one))]
            return sorted(found, key=lambda name: _urgency(name, self.alarms[name]))
        return []

    def _topics(self, now_us: int) -> list[str]:
        # An order that moves is made once a second: at once would be dear, and could not be read.
        is_moving = self.sort is not Sort.TOPIC or self.pattern
        if self._is_order_due or (is_moving and abs(now_us - self._ordered_us) >= 10**6):
            self._is_order_due = False
            self._ordered_us = now_us
            rows = self.rows
            found = [name for name, row in rows.items() if self._has(name, _row_words(row))]
            self._order = sorted(found, key=lambda name: self._rank(rows[name]))
        return self._order

    def _rank(self, row: Row) -> tuple[int, str]:
        match self.sort:
            case Sort.WORST:
                return -row.reading.quality.level, row.topic
            case Sort.NEWEST:
                return -row.changed_us, row.topic
            case Sort.OLDEST:
                return row.changed_us, row.topic
            case Sort.TOPIC:
                return 0, row.topic

    def _has(self, name: str, words: str) -> bool:
        """Whether the filter selects an entry: an MQTT filter, or words that it contains."""
        pattern = self.pattern
        if not pattern:
            return True
        if {"+", "#"} & set(pattern) and filter_fault(pattern) is None:
            return matches(pattern, name)
        text = f"{name} {words}".lower()
        return all(word in text for word in pattern.lower().split())

    def selected(self, view: View, names: list[str]) -> int:
        """Return the place of the selected entry; the first one if it is not listed."""
        name = self._selected.get(view)
        if name is None:
            return 0
        try:
            return names.index(name)
        except ValueError:
            return 0

    # -- what keys do ------------------------------------------------------------------------------

    def press(self, key: str, now_us: int) -> Wish | None:
        """Do what a key means here; return what it wants from the daemon."""
        if key == "interrupt":
            return Quit()
        self.message = ""
        if self.prompt is not None:
            return self._answer(self.prompt, key)
        if self.is_typing:
            self._type(key, now_us)
            return None
        if key == "q":
            return Quit()
        if self._go(key, now_us):
            return None
        if self.view is View.PAST:
            return self._press_past(key)
        if self.view is View.ALARMS:
            return self._press_alarms(key, now_us)
        if self.view is View.VALUES and key in {"enter", "right", "l"}:
            return self._look(now_us)
        return None

    def _go(self, key: str, now_us: int) -> bool:
        """Move, or change what is shown; return False if the key is another one."""
        if key in {"1", "2", "3"}:
            self.view = LISTS[int(key) - 1]
        elif key in {"tab", "backtab"}:
            step = 1 if key == "tab" else -1
            place = LISTS.index(self.view) if self.view in LISTS else 0
            self.view = LISTS[(place + step) % len(LISTS)]
        elif key == "?":
            self._back_to = self.view if self.view in LISTS else View.VALUES
            self.view = View.HELP
        elif key in {"escape", "backspace", "left", "h"}:
            self._leave()
        elif key in {" ", "p"}:
            self._pause(now_us)
        elif key == "/" and self.view in LISTS:
            self.is_typing = True
        elif key == "s" and self.view is View.VALUES:
            orders = list(Sort)
            self.sort = orders[(orders.index(self.sort) + 1) % len(orders)]
            self._is_order_due = True
        else:
            return self._move(key, now_us)
        return True

    def _leave(self) -> None:
        if self.view is View.PAST:
            self.view, self.past = View.VALUES, None
        elif self.view is View.HELP:
            self.view = self._back_to
        elif self.pattern:
            self.pattern = ""
            self._is_order_due = True

    def _pause(self, now_us: int) -> None:
        if self._held is None:
            rows = {name: row.frozen() for name, row in self._rows.items()}
            self._held = (rows, dict(self._devices), dict(self._alarms))
            self.paused_us = now_us
        else:
            self._held = None
            self.paused_us = None
        self._is_order_due = True

    def _move(self, key: str, now_us: int) -> bool:
        steps = {
            "up": -1,
            "k": -1,
            "down": 1,
            "j": 1,
            "pageup": -self.page,
            "pagedown": self.page,
            "home": -(10**9),
            "g": -(10**9),
            "end": 10**9,
            "G": 10**9,
        }
        step = steps.get(key)
        if step is None:
            return False
        if self.view in LISTS:
            names = self.entries(self.view, now_us)
            if names:
                place = self.selected(self.view, names) + step
                self._selected[self.view] = names[max(0, min(len(names) - 1, place))]
        else:
            self.top[self.view] = max(0, min(10**6, self.top.get(self.view, 0) + step))
        return True

    def _type(self, key: str, now_us: int) -> None:
        """Change the filter as a person types it."""
        if key in {"enter", "escape"}:
            self.is_typing = False
            if key == "escape":
                self.pattern = ""
        elif key == "backspace":
            self.pattern = self.pattern[:-1]
        elif key == "erase":
            self.pattern = ""
        elif key in {"up", "down", "pageup", "pagedown"}:
            self._move(key, now_us)
        elif len(key) == 1 and len(self.pattern) < MAX_TYPED:
            self.pattern += key
        self._is_order_due = True

    def _answer(self, prompt: Prompt, key: str) -> Wish | None:
        if key == "escape":
            self.prompt = None
            self.message = "nothing was done"
        elif key == "enter":
            self.prompt = None
            return prompt.accept(prompt.typed.strip())
        elif key == "backspace":
            prompt.typed = prompt.typed[:-1]
        elif key == "erase":
            prompt.typed = ""
        elif len(key) == 1 and len(prompt.typed) < MAX_TYPED:
            prompt.typed += key
        return None

    # -- a topic's past ----------------------------------------------------------------------------

    def _look(self, now_us: int) -> Wish | None:
        names = self.entries(View.VALUES, now_us)
        if not names:
            return None
        name = names[self.selected(View.VALUES, names)]
        self._selected[View.VALUES] = name
        self.view = View.PAST
        self.top[View.PAST] = 0
        return self._open(name, self.past.span_s if self.past else SPANS_S[0])

    def _open(self, topic: str, span_s: float) -> Wish:
        self.past = Past(topic, span_s)
        return Look(topic, span_s)

    def _press_past(self, key: str) -> Wish | None:
        if self.past is None:
            return None
        place = SPANS_S.index(self.past.span_s) if self.past.span_s in SPANS_S else 0
        if key in {"+", "="}:
            place += 1
        elif key in {"-", "_"}:
            place -= 1
        elif key != "r":
            return None
        return self._open(self.past.topic, SPANS_S[max(0, min(len(SPANS_S) - 1, place))])

    # -- alarms ------------------------------------------------------------------------------------

    def _press_alarms(self, key: str, now_us: int) -> Wish | None:
        names = self.entries(View.ALARMS, now_us)
        if key not in {"a", "z", "u"} or not names:
            return None
        name = names[self.selected(View.ALARMS, names)]
        self._selected[View.ALARMS] = name
        if key == "u":
            return Unshelve(name)
        if key == "a":
            self.prompt = Prompt(
                f"acknowledge {name}, note:", "", lambda text: Acknowledge(name, text)
            )
        else:
            self.prompt = Prompt(
                f"shelve {name} for, and why:", "1h ", lambda text: self._shelve(name, text)
            )
        return None

    def _shelve(self, name: str, text: str) -> Wish | None:
        length, _, why = text.partition(" ")
        for_s = seconds_of(length)
        if not for_s:
            self.message = f"{length or 'nothing'}: expected a duration such as 30m or 2h"
            return None
        return Shelve(name, for_s, why.strip())


def is_well(device: dict[str, Any]) -> bool:
    """Whether a device is up, and everything behind it online."""
    return device.get("state") in _WELL


def _words(state: dict[str, Any]) -> str:
    return " ".join(str(one) for one in state.values() if isinstance(one, str))


def _row_words(row: Row) -> str:
    quality = row.reading.quality
    metadata = row.channel.metadata
    return f"{quality.level.name} {quality.reason} {metadata.description} {metadata.device}"


def _urgency(name: str, alarm: dict[str, Any]) -> tuple[bool, int, int, str]:
    state = _STATES.get(str(alarm.get("state")), 9)
    return bool(alarm.get("shelved")), state, _PRIORITIES.get(str(alarm.get("priority")), 9), name
