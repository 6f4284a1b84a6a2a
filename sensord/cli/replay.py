"""`sensord replay`: serve recordings to monitors as a running daemon would."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import uvloop

from sensord.access.origins import origin_fault
from sensord.cli.export import selection_of
from sensord.cli.options import DEFAULT_URL, duration
from sensord.cli.text_options import KINDS, configure_text, device_for, form_of
from sensord.config.tree import Server as Listening
from sensord.errors import UsageError
from sensord.host import journald as logs
from sensord.host.tuning import tune
from sensord.model.times import iso
from sensord.playback import MAX, Options
from sensord.recordings import Recording, RecordingError, Span, damaged_of, in_order, lacking_of
from sensord.recordings.capture import open_any
from sensord.replay_app import TOPICS, ReplayApp

__all__ = ["configure", "run", "speed"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=KINDS,
    )
    listen = DEFAULT_URL.removeprefix("ws://")
    add("--listen", action="append", metavar="HOST:PORT", help=f"default: {listen}")
    add("--insecure", action="store_true", help="listen where other machines can reach it")
    add(
        "--origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin connect, such as http://127.0.0.1:8000; may be repeated",
    )
    add("--speed", type=speed, default=1.0, help="1 (as recorded, default), 10, 0.5, or max")
    add("--loop", action="store_true", help="repeat the recording forever")
    add("--exit", action="store_true", help="exit at the end of the recording")
    add("--shift", action="store_true", help="shift all times so that the recording begins now")
    add("--from", dest="start", metavar="WHERE", help="an offset, a time (ISO 8601), or -10m")
    add("--to", dest="stop", metavar="WHERE", help="end before this, in the same forms: --to=-5m")
    add(
        "--topic",
        "--topics",
        action="append",
        metavar="FILTER",
        help="+ and # as in MQTT; may be repeated (default: # and $sys/devices/#)",
    )
    add(
        "--max-wait",
        type=duration,
        default=Options().longest_wait_s,
        metavar="TIME",
        help="shorten longer silences to this, such as 10s (default: 1m)",
    )
    configure_text(parser)


def speed(text: str) -> float:
    """Read the option --speed.

    Raises:
        argparse.ArgumentTypeError: It is invalid.
    """
    if text == "max":
        return MAX
    try:
        found = float(text.removesuffix("x"))
    except ValueError:
        found = 0.0
    if not 0 < found < MAX:
        raise argparse.ArgumentTypeError(f"{text}: expected a number such as 2 or 0.5, or max")
    return found


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    logs.setup("info")
    if options.loop and options.exit:
        raise UsageError("--loop never ends: leave out --loop or --exit")
    listen = tuple(options.listen or [DEFAULT_URL.removeprefix("ws://")])
    for _, fault in Listening(listen=listen, insecure=options.insecure).faults():
        raise UsageError(f"--listen: {fault.replace('set insecure = true', 'give --insecure')}")
    for origin in options.origin:
        if wrong := origin_fault(origin):
            raise UsageError(f"--origin: {wrong}")
    form, device = form_of(options), device_for(options)
    recordings = in_order([open_any(path, device, form) for path in options.files])
    for recording, _ in recordings:
        for note in recording.notes():
            print(f"{recording.path}: {note}", file=sys.stderr)
    for recording, _ in recordings:
        if lacking := lacking_of(recording):
            raise RecordingError(recording.path, lacking)
    newest_us = max(span.end_us for _, span in recordings)
    selection = selection_of(options.topic or TOPICS, options.start, options.stop, newest_us)
    replay = Options(
        speed=options.speed,
        is_looping=options.loop,
        is_shifted=options.shift,
        selection=selection,
        longest_wait_s=options.max_wait,
    )
    replaying = ReplayApp(
        recordings, replay, listen, is_exiting=options.exit, origins=options.origin
    )
    tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(replaying.run(lambda addresses: _print_start(recordings, addresses)))
    return 1 if any(damaged_of(recording) for recording, _ in recordings) else 0


def _print_start(recordings: list[tuple[Recording, Span]], addresses: list[str]) -> None:
    for recording, span in recordings:
        if span.end > span.first:
            print(
                f"replaying {recording.path}: {iso(span.start_us)} to {iso(span.end_us)}",
                file=sys.stderr,
            )
        else:
            print(f"{recording.path}: empty", file=sys.stderr)
    urls = ", ".join(f"ws://{address}" for address in addresses)
    print(f"listening on {urls}; Ctrl-C stops", file=sys.stderr, flush=True)
