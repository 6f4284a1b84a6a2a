"""Files in a journal's folder that are not part of it: they are named, and left alone.

Pure but for the list of the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sensord.log.journal.registry import is_alike

__all__ = ["HIGHEST", "Listing", "Stray", "conflict_reason", "is_proven", "list_segments"]
__all__ += ["parts", "stray_reason"]

HIGHEST = 2**53
"""No journal has an offset from here on: clients count exactly only so far."""

_SEGMENT = re.compile(r"(\d{20})\.mcap(\.open)?")
_ALIKE = re.compile(r".*\.mcap(\.open)?|.*\.part")

Facts = Mapping[str, str]
"""The facts at the head of a segment."""

Listing = dict[str, bool]
"""The names that look like a journal's, and whether each is a regular file."""


class Stray(NamedTuple):
    """An entry of the folder that looks like the journal's and is not part of it."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file} {self.reason}; it is left alone"


def _names(folder: Path) -> Listing:
    with os.scandir(folder) as entries:
        return {e.name: _is_regular(e) for e in entries if _ALIKE.fullmatch(e.name)}


def _is_regular(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def list_segments(
    folder: Path, listed: Container[int]
) -> tuple[list[tuple[int, bool]], list[Stray]]:
    """List the segments, first offset and whether it is unsealed, and the strays.

    A file in the place of one that the registry lists is listed, whatever it is: its readings are
    missing.
    """
    # A rename between two reads of the folder can hide a file; two equal lists cannot both lie.
    seen, again = _names(folder), _names(folder)
    while seen != again:
        seen, again = again, _names(folder)
    segments, strays = [], []
    for name, is_regular in sorted(seen.items()):
        match = _SEGMENT.fullmatch(name)
        if not is_regular and not (match and not match[2] and int(match[1]) in listed):
            strays.append(Stray(name, "is not a regular file"))
        elif match and int(match[1]) >= HIGHEST:
            strays.append(Stray(name, "is numbered beyond any journal"))
        elif match:
            segments.append((int(match[1]), match[2] is not None))
    return sorted(segments), strays


def parts(folder: Path) -> Iterator[Path]:
    """Yield the files that were begun under another name and never finished."""
    for name, is_regular in _names(folder).items():
        if is_regular and name.endswith(".part"):
            yield folder / name


def stray_reason(
    first: int, facts: Facts | None, epochs: Collection[str], *, begins: int | None
) -> str | None:
    """Return why a segment that the registry does not list is not one of this journal.

    ``facts`` are those at its head, None if they are damaged; ``epochs`` all that the log had,
    none if they are not surely known; ``begins`` is the offset of its first reading, if any.
    """
    if facts is None:
        # With chunks it is a segment whose head is damaged.
        return "holds nothing" if begins is None else None
    if epochs and "epoch" in facts and not is_proven(facts, epochs):
        return "belongs to another journal"
    named = facts.get("first_offset", str(first))
    if named != str(first) and not (begins == first and is_alike(named, str(first))):
        return "was given another name"
    return None


def is_proven(facts: Facts | None, epochs: Collection[str]) -> bool:
    """Return whether the head of a segment names one of the epochs, perhaps with a damaged digit.

    Epochs are random: another one is never so close.
    """
    epoch = "" if facts is None else facts.get("epoch", "")
    return any(is_alike(epoch, known) for known in epochs)


def conflict_reason(
    first: int, end: int, proven: Iterable[tuple[int, int]], listed_end: int
) -> str | None:
    """Return why a segment whose head does not prove that it belongs here cannot belong here.

    ``proven`` are the offsets, first and end, of the segments that do; before ``listed_end`` the
    registry would list it.
    """
    if any(first < other_end and other < end for other, other_end in proven):
        return "has offsets of readings of this journal"
    return "is not listed, as all segments before it are" if first < listed_end else None
