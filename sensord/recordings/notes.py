"""The facts about an MCAP file in its metadata records, besides its first facts.

Source: docs/recordings.md, MCAP.
"""

from __future__ import annotations

import os
import struct

from sensord.log.journal import Hole
from sensord.mcap import records as mcap
from sensord.mcap.records import HEADER, Opcode
from sensord.mcap.table import read_at, read_summary

__all__ = ["HOLE", "hole_note", "holes_of", "notes_of"]

HOLE = "sensord.hole"
"""Readings that are missing: ``first`` and ``count`` of their offsets, and the ``reason``."""

_INDEX = struct.Struct("<QQ")
_LARGEST_BYTES = 1 << 20


def hole_note(hole: Hole) -> tuple[str, dict[str, str]]:
    """Return name and facts of the metadata record that names a hole."""
    facts = {"first": str(hole.first), "count": str(hole.count), "reason": hole.reason}
    return HOLE, facts


def holes_of(descriptor: int) -> list[Hole]:
    """Return the holes that a file names, in the order of their offsets; none without a footer.

    Raises:
        OSError: The disk fails.
    """
    found = []
    for facts in notes_of(descriptor, HOLE):
        try:
            found.append(Hole(int(facts["first"]), int(facts["count"]), facts.get("reason", "")))
        except (KeyError, ValueError):
            continue  # of another version
    return sorted(found, key=lambda hole: hole.first)


def notes_of(descriptor: int, name: str) -> list[dict[str, str]]:
    """Return the facts of all metadata records with a name, in the file's order.

    Raises:
        OSError: The disk fails.
    """
    summary = read_summary(descriptor, os.fstat(descriptor).st_size)
    found = []
    for opcode, start, end in mcap.records(summary or b""):
        if opcode != Opcode.METADATA_INDEX:
            continue
        try:
            at, length = _INDEX.unpack_from(summary or b"", start)
            if mcap.text_of((summary or b"")[:end], start + _INDEX.size)[0] != name:
                continue
            record = read_at(descriptor, min(length, _LARGEST_BYTES), at)
            found_name, facts = mcap.metadata_of(record[HEADER.size :])
        except (ValueError, struct.error):
            continue  # damaged; the readings do not depend on it
        if found_name == name:
            found.append(facts)
    return found
