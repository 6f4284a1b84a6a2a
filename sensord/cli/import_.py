"""`sensord import`: make a recording from files of other programs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sensord.cli.export import selection_of, transfer
from sensord.cli.record import must_be_new
from sensord.cli.text_options import KINDS, configure_text, device_for, form_of
from sensord.errors import SensordError
from sensord.recordings import damaged_of, in_order, lacking_of
from sensord.recordings.capture import open_any
from sensord.recordings.outputs import Format

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help=KINDS)
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="the MCAP file to write")
    add(
        "--topic",
        action="append",
        metavar="FILTER",
        help="+ and # as in MQTT; may be repeated (default: #, which excludes $sys)",
    )
    configure_text(parser)


def run(options: argparse.Namespace) -> int:
    """Import; return 1 if any line is missing from the recording."""
    must_be_new(options.output)
    form, device = form_of(options), device_for(options)
    recordings = in_order([open_any(path, device, form) for path in options.files])
    for recording, span in recordings:
        for note in recording.notes():
            print(f"{recording.path}: {note}", file=sys.stderr)
        if span.end <= span.first:
            raise SensordError(f"{recording.path}: no readings in it")
    selection = selection_of(options.topic or ["#"], None, None, 0)
    report = transfer(recordings, selection, Format.MCAP, options.output)
    print(f"{options.output}: {report.readings} readings", file=sys.stderr)
    is_partial = any(lacking_of(one) or damaged_of(one) for one, _ in recordings)
    return 1 if is_partial or report.holes else 0
