"""The header of a CSV file: the meaning of each column. Pure.

Three shapes are known: sensord's own columns, one reading a line (``time,topic,value``), and one
column a channel after a time column.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from sensord.model.topics import topic_fault
from sensord.model.units import spelled_unit, unit_fault
from sensord.recordings.text_form import TextForm, UndecidedError

__all__ = ["Header", "header_of", "split"]

SEPARATORS = (",", ";", "\t")

_WHOLE = {
    *("time", "timestamp", "time stamp", "datetime", "date time", "date/time", "date and time"),
    *("ts", "epoch", "unixtime", "unix time", "utc", "zeit", "zeitstempel", "datum/uhrzeit"),
    *("datum uhrzeit", "horodatage", "fecha hora", "recorded at", "created at", "local time"),
}
_DATES = {"date", "datum", "day", "fecha", "local date"}
_CLOCKS = {"time", "clock", "uhrzeit", "zeit", "hora", "heure", "local time"}
_UNIT_HINT = re.compile(r"[ (\[](us|ms|s)[)\]]?\Z")
_UTC_HINT = re.compile(r"[ (\[](utc|gmt)[)\]]?\Z|\Autc\b ?")
_TITLED_UNIT = re.compile(r"(.*\S)\s*[(\[]\s*([^()\[\]]+?)\s*[)\]]", re.DOTALL)

_DEGREES = {"C": "Cel", "F": "[degF]"}
"""In a title these are never the coulomb and the farad."""

_SHORT = 4
_LONGEST = 200
"""Characters of a title."""


@dataclass(frozen=True, slots=True)
class Header:
    """What each column of a file is.

    ``times`` are the columns that together are the time; empty where the lines have none.
    ``named`` are places of the columns of one reading a line, by name; ``channels`` are place,
    topic and unit of the columns that are a channel each. One of the two is empty.
    """

    separator: str
    count: int
    times: tuple[int, ...]
    named: dict[str, int]
    channels: tuple[tuple[int, str, str], ...]
    time_format: str = ""
    zone: tzinfo | None = None


def split(line: str, separator: str) -> list[str]:
    """Return the fields of a line.

    Raises:
        ValueError: Its quotes are not in pairs.
    """
    if '"' not in line:
        return line.split(separator)
    try:
        rows = list(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        raise ValueError(f"its quotes are not in pairs ({error})") from error
    if len(rows) != 1:
        raise ValueError("its quotes are not in pairs")
    return rows[0]


def header_of(line: str, form: TextForm) -> Header:
    """Read a header.

    Raises:
        ValueError: It is not a header; the text has what was expected.
        UndecidedError: It is ambiguous.
    """
    found: list[Header] = []
    faults: list[ValueError] = []
    for separator in (form.separator,) if form.separator else SEPARATORS:
        try:
            titles = [title.strip() for title in split(line, separator)]
            if len(titles) > 1:
                found.append(_header(titles, separator, form))
        except ValueError as error:
            faults.append(error)
    if len(found) > 1:
        raise UndecidedError("its columns may be parted in two ways; say --separator")
    if not found:
        undecided = [fault for fault in faults if isinstance(fault, UndecidedError)]
        raise [*undecided, *faults, ValueError("expected a header such as time,topic,value")][0]
    return found[0]


def _header(titles: Sequence[str], separator: str, form: TextForm) -> Header:
    plain = [_plain(title) for title in titles]
    while titles and not titles[-1]:
        titles, plain = titles[:-1], plain[:-1]  # a separator at the end of each line
    times = _times(titles, plain, form)
    zone: tzinfo | None = None
    time_format = form.time_format
    if times:
        last = plain[times[-1]]
        hint = _UNIT_HINT.search(last)
        time_format = time_format or (hint[1] if hint and len(times) == 1 else "")
        zone = UTC if any(_UTC_HINT.search(plain[place]) for place in times) else None
    elif form.rate is None:
        raise ValueError(
            "expected a header with a column of times, such as time,topic,value;"
            " name it by --time-column, or give lines without times a --rate"
        )
    if "topic" in plain:
        named = {name: plain.index(name) for name in plain if name}
        if "value" not in named:
            raise ValueError('it has a column "topic", so a column "value" is expected too')
        if len(set(plain)) < len(plain):
            raise ValueError("two of its columns have the same title")
        return Header(separator, len(plain), times, named, (), time_format, form.zone or zone)
    channels = _channels(titles, times, form.prefix)
    return Header(separator, len(plain), times, {}, channels, time_format, form.zone or zone)


def _plain(title: str) -> str:
    return re.sub(r"[ _]+", " ", title.casefold()) if "_time" not in title else title.casefold()


def _bare(title: str) -> str:
    return _UTC_HINT.sub("", _UNIT_HINT.sub("", title)).strip() or title


def _times(titles: Sequence[str], plain: Sequence[str], form: TextForm) -> tuple[int, ...]:
    """Return the columns of the time."""
    if form.time_column:
        names = [name.strip() for name in form.time_column.split(",")]
        missing = [name for name in names if titles.count(name) != 1]
        if missing:
            raise ValueError(f'it has no column "{missing[0]}"; its columns are {_listed(titles)}')
        return tuple(titles.index(name) for name in names)
    bare = [_bare(title) for title in plain]
    dates = [place for place, title in enumerate(bare) if title in _DATES]
    clocks = [place for place, title in enumerate(bare) if title in _CLOCKS]
    if len(dates) == len(clocks) == 1:
        return dates[0], clocks[0]
    whole = [place for place, title in enumerate(bare) if title in _WHOLE]
    candidates = whole or dates
    if len(candidates) > 1:
        several = _listed([titles[place] for place in candidates])
        raise UndecidedError(f"it has several columns of times ({several}); say --time-column")
    return tuple(candidates)


def _listed(titles: Sequence[str]) -> str:
    return ", ".join(title[:32] for title in titles[:8])


def _channels(
    titles: Sequence[str], times: tuple[int, ...], prefix: str
) -> tuple[tuple[int, str, str], ...]:
    channels = []
    for place, title in enumerate(titles):
        if place in times:
            continue
        name, unit = _unit_in(title)
        topic = "/".join(filter(None, f"{prefix}/{name}".split("/")))
        if not name or len(title) > _LONGEST or (fault := topic_fault(topic)) is not None:
            why = "has no title" if not name else f'"{title[:32]}" cannot be a topic'
            raise ValueError(f"column {place + 1} {why}" + (f": {fault}" if name else ""))
        channels.append((place, topic, unit))
    topics = [topic for _, topic, _ in channels]
    if not topics or len(set(topics)) < len(topics):
        raise ValueError("two of its columns have the same title" if topics else "no values")
    return tuple(channels)


def _unit_in(title: str) -> tuple[str, str]:
    """Return name and unit of a title such as ``OutTemp (C)``; an unknown unit stays in the name.

    The spellings of people are without regard to capitals, so a short one that begins with m, which
    may be milli or mega, is one only as it stands.
    """
    found = _TITLED_UNIT.fullmatch(title)
    if found is None:
        return title, ""
    text = found[2]
    if text in _DEGREES:
        return found[1], _DEGREES[text]
    if unit_fault(text) is None:
        return found[1], text
    if text[0] in "mM" and len(text) <= _SHORT:
        return title, ""
    unit = spelled_unit(text)
    return (title, "") if unit is None else (found[1], unit)
