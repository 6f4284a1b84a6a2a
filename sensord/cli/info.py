"""`sensord info`: describe journals and recorded files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sensord.cli.text_options import KINDS, configure_text, device_for, form_of
from sensord.errors import SensordError
from sensord.log.journal import Hole
from sensord.model.times import iso
from sensord.recordings import Contents, damaged_of, lacking_of
from sensord.recordings.capture import open_any

__all__ = ["configure", "describe_hole", "duration_text", "lines_of", "run"]
__all__ += ["size_text"]

_KIB = 1024
_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86400


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help=KINDS,
    )
    add("--topics", action="store_true", help="list the topics with count, type and unit")
    configure_text(parser)


def run(options: argparse.Namespace) -> int:
    """Describe each path, even if another one cannot be read."""
    status = 0
    form, device = form_of(options), device_for(options)
    for path in options.paths:
        try:
            recording = open_any(path, device, form)
            contents = recording.contents()
        except (SensordError, OSError) as error:
            text = f"{path}: {error.strerror}" if isinstance(error, OSError) else error
            print(text, file=sys.stderr)
            status = 1
            continue
        if lacking_of(recording) or damaged_of(recording):
            status = 1
        print(f"{path}: {contents.what}")
        for line in lines_of(contents, is_listing=options.topics):
            print(f"  {line}")
    return status


def lines_of(contents: Contents, *, is_listing: bool) -> list[str]:
    """Describe a recording in lines."""
    span = contents.span
    lines = [f"epoch     {span.epoch}"] if span.epoch else []
    if contents.readings:
        lines.append(f"offsets   {span.first} to {span.end - 1}")
        took = duration_text((span.end_us - span.start_us) / 1e6)
        lines.append(f"time      {iso(span.start_us)} to {iso(span.end_us)} ({took})")
    where = "" if contents.segments is None else f", {contents.segments} sealed segments"
    unread = f", {contents.unread} of them cannot be read" if contents.unread else ""
    lines.append(f"readings  {contents.readings}{where}{unread}")
    if contents.segments is not None:
        lines.append(
            f"unsealed  {contents.open_readings} readings in the open segment,"
            f" {contents.ring_readings} in the commit ring"
        )
    lines.append(f"bytes     {contents.bytes} ({size_text(contents.bytes)})")
    lines.append(f"topics    {len({topic.topic for topic in contents.topics})}")
    if is_listing:
        lines += _table(contents)
    lost = sum(hole.count for hole in contents.holes)
    lines.append(f"holes     {len(contents.holes)}" + (f", {lost} offsets" if lost else ""))
    lines += [f"  {describe_hole(hole)}" for hole in contents.holes]
    return lines + [f"note      {note}" for note in contents.notes]


def describe_hole(hole: Hole) -> str:
    """Describe in one line what is missing, and why."""
    if not hole.count:
        return f"before offset {hole.first}: {hole.reason}"
    if hole.count == 1:
        return f"offset {hole.first}: {hole.reason}"
    return f"offsets {hole.first} to {hole.end - 1} ({hole.count}): {hole.reason}"


def _table(contents: Contents) -> list[str]:
    width = max((len(topic.topic) for topic in contents.topics), default=0)
    return [
        f"  {topic.topic:<{width}} {topic.count:>10} {topic.type:<6} {topic.unit}".rstrip()
        for topic in contents.topics
    ]


def duration_text(seconds: float) -> str:
    """Write a duration for people."""
    if abs(seconds) < _MINUTE_S:
        return f"{seconds:.3f} s"
    minutes = int(seconds) // _MINUTE_S
    if minutes < _MINUTE_S:
        return f"{minutes} min {int(seconds) % _MINUTE_S} s"
    if seconds < _DAY_S:
        return f"{int(seconds) // _HOUR_S} h {minutes % _MINUTE_S} min"
    return f"{int(seconds) // _DAY_S} d {int(seconds) % _DAY_S // _HOUR_S} h"


def size_text(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < _KIB:
            return f"{count:.4g} {unit}"
        count /= _KIB
    return f"{count:.4g} GiB"
