"""`sensord try`: pass lines or bytes through a decoder, a profile or a configured device."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from sensord import profiles
from sensord.cli.check import read
from sensord.config.tree import Device
from sensord.errors import UsageError
from sensord.model.times import iso
from sensord.trial.bench import Bench, device_of, device_of_text

__all__ = ["configure", "run"]

EPILOG = """what to try on: --profile NAME, --decoder NAME, --table 'KEYS IN TOML', or --config FILE
and --device NAME; what to try: lines as arguments, --hex DIGITS, --file FILE (- for standard
input), or with --topic an MQTT payload"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    add = parser.add_argument
    add("line", nargs="*", help="lines that the device sends")
    add("--profile", help="a profile, by name or file")
    add("--decoder", help="a decoder without options")
    add("--table", help="the keys of a device's table, in TOML")
    add("--config", type=Path, help="a configuration file")
    add("--device", help="the device in it")
    add("--hex", help="bytes in hexadecimal digits")
    add("--file", help="a file with what the device sent; - for standard input")
    add("--topic", help="the MQTT topic of the payload")


def run(options: argparse.Namespace) -> int:
    """Show the readings and faults; return 1 if nothing was read."""
    bench = Bench(_device(options))
    for data in _data(options):
        if options.topic:
            bench.message(options.topic, data)
        else:
            bench.stream(data)
    found = bench.outcomes()
    for one in found:
        quality = (
            ""
            if not one.quality.reason
            else f"  {one.quality.level.name.lower()}: {one.quality.reason}"
        )
        time = "" if one.time_us is None else f"  at {iso(one.time_us)}"
        print(f"{one.topic:<40} {one.value!r} {one.unit}{quality}{time}".rstrip())
    for fault in bench.named:
        detail = f"; {fault.detail}" if fault.detail else ""
        print(f"fault: {fault.reason}: {fault.excerpt!r}{detail}", file=sys.stderr)
    if not found and not bench.named:
        print("nothing came out: the message may be incomplete", file=sys.stderr)
    return 0 if found else 1


def _device(options: argparse.Namespace) -> Device:
    given = [options.profile, options.decoder, options.table, options.config]
    if sum(one is not None for one in given) != 1:
        raise UsageError("give one of --profile, --decoder, --table and --config")
    if options.profile is not None:
        return device_of(profiles.find(options.profile))
    if options.config is not None:
        devices = {one.name: one for one in read(options.config).devices}
        if options.device not in devices:
            raise UsageError(f"--device: one of {', '.join(devices)}")
        return devices[options.device]
    reader = 'reader = "serial"\nport = "/dev/null"\n'
    if options.topic:
        reader = 'reader = "mqtt"\nhost = "127.0.0.1"\n'
    table = options.table if options.table is not None else f'decoder = "{options.decoder}"'
    if options.topic and "topics" not in table:
        table += '\ntopics = [{ filter = "#", topic = "{source}/{field}" }]'
    return device_of_text(table if "reader" in table else reader + table)


def _data(options: argparse.Namespace) -> Iterator[bytes]:
    if options.hex is not None:
        try:
            yield bytes.fromhex(options.hex)
        except ValueError as exc:
            raise UsageError(f"--hex: {exc}") from exc
    if options.file == "-":
        yield sys.stdin.buffer.read()
    elif options.file is not None:
        yield Path(options.file).read_bytes()
    for line in options.line:
        yield line.encode() + (b"" if options.topic else b"\n")
