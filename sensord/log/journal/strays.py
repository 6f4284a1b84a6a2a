"""What stands in a journal's folder and is not part of it: it is named, and left alone.

Pure but for the list of the folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["HIGHEST", "Listing", "Stray", "list_segments", "parts", "stray_reason"]

HIGHEST = 2**53
"""No journal has an offset from here on: clients count exactly only so far."""

_SEGMENT = re.compile(r"(\d{20})\.mcap(\.open)?")
_ALIKE = re.compile(r".*\.mcap(\.open)?|.*\.part")

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

    What stands in the place of one that the registry lists is listed, whatever it is: its readings
    are missing.
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
    first: int, facts: Mapping[str, str] | None, epochs: Collection[str], *, is_empty: bool
) -> str | None:
    """Say why a segment that the registry does not list is not one of this journal.

    ``facts`` are those at its head, None if they are damaged; ``epochs`` all that the log had,
    none if they are not surely known.
    """
    if facts is None:
        # With chunks it is a segment whose head is damaged.
        return "holds nothing" if is_empty else None
    if epochs and facts.get("epoch") not in epochs:
        return "belongs to another journal"
    if facts.get("first_offset", str(first)) != str(first):
        return "was given another name"
    return None
