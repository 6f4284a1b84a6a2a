"""Options for reading text files of other programs, shared by all commands that read files."""

from __future__ import annotations

import argparse
import math
from datetime import tzinfo
from pathlib import Path

from sensord.cli.check import device_of
from sensord.config.tree import Device
from sensord.errors import UsageError
from sensord.model.times import LOCAL, time_us_of
from sensord.recordings import TextForm
from sensord.recordings.text_form import TIME_FORMATS, zone_of

__all__ = ["KINDS", "configure_text", "device_for", "form_of"]

KINDS = (
    "journal folders, MCAP files, captures, JSON lines of sensord export, CSV, NMEA and JSON logs"
)

_SEPARATORS = {"tab": "\t", "\\t": "\t", ",": ",", ";": ";", "\t": "\t"}


def configure_text(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument_group("text files of other programs").add_argument
    add("--time-column", default="", metavar="NAME", help="the column of times, or DATE,TIME")
    add("--time-format", default="", choices=TIME_FORMATS, help="the format of times")
    add(
        "--zone",
        type=_zone,
        metavar="ZONE",
        help="zone of times without one: UTC, local, Europe/Rome",
    )
    add("--decimal", default="", choices=(".", ","), help="the decimal mark of numbers")
    add("--separator", type=_separator, metavar="CHAR", help="between columns: , or ; or tab")
    add("--encoding", type=_encoding, metavar="NAME", help="such as cp1252 (default: UTF-8)")
    add("--prefix", default="", metavar="LEVELS", help="put before the topics of a CSV file")
    add("--rate", type=_rate, metavar="N", help="lines per second, for lines without times")
    add("--begin", type=_time, metavar="TIME", help="with --rate: the time of the first line")
    add(
        "--config", type=Path, metavar="FILE", help="decode captures and logs by this configuration"
    )
    add("--device", metavar="NAME", help="the device in it to decode by")


def form_of(options: argparse.Namespace) -> TextForm:
    """Return how to read text files, according to the options.

    Raises:
        UsageError: They contradict each other.
    """
    if options.begin is not None and options.rate is None:
        raise UsageError("--begin requires --rate: without it the times are the file's own")
    return TextForm(
        time_column=options.time_column,
        time_format=options.time_format,
        zone=options.zone,
        decimal=options.decimal,
        separator=options.separator or "",
        encoding=options.encoding or "",
        prefix=options.prefix.strip("/"),
        rate=options.rate,
        begin_us=options.begin,
    )


def device_for(options: argparse.Namespace) -> Device | None:
    """Return the device that decodes, if one is named.

    Raises:
        SensordError: No such device, or only one of the two options.
    """
    if (options.config is None) is not (options.device is None):
        raise UsageError("--config and --device require each other, to decode captures and logs")
    return device_of(options.config, options.device) if options.config else None


def _zone(text: str) -> tzinfo:
    found = zone_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text}: expected UTC, local, an offset such as +01:00, or a name such as Europe/Rome"
        )
    return found


def _separator(text: str) -> str:
    if text not in _SEPARATORS:
        raise argparse.ArgumentTypeError(f"{text}: expected , or ; or tab")
    return _SEPARATORS[text]


def _encoding(text: str) -> str:
    try:
        b"a".decode(text)
    except (LookupError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: unknown text encoding") from error
    return text


def _rate(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1e-6 <= found <= 1e6 or not math.isfinite(found):  # noqa: PLR2004  # a week, a microsecond
        raise argparse.ArgumentTypeError(f"{text}: expected lines a second, such as 1 or 0.1")
    return found


def _time(text: str) -> int:
    time_us = time_us_of(text, LOCAL)
    if time_us is None:
        raise argparse.ArgumentTypeError(f"{text}: expected a time such as 2026-11-22T17:00:00Z")
    return time_us
