"""Run every benchmark: ``python -m bench``, briefly, or ``--full`` for what the documents quote.

Each runs as a command of its own, so that none is disturbed by what another left in memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time

from bench.report import Figure, from_json, render

__all__ = ["BENCHES", "main"]

BENCHES = (
    "fanout",
    "sending",
    "latency",
    "ingest",
    "slow",
    "idle",
    "matching",
    "journal",
    "catch_up",
    "together",
    "floods",
    "modbus",
    "page",
    "page_clicks",
    "page_year",
    "page_fanout",
)

LONGEST_S = 1800.0


def main() -> int:
    """Run all, or those named; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Run every benchmark.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--full", action="store_true", help="take minutes; figures are good")
    parser.add_argument("--json", action="store_true", help="print one JSON object a figure")
    given = parser.parse_args()
    if unknown := set(given.names) - set(BENCHES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    failed = 0
    for name in given.names or BENCHES:
        if importlib.util.find_spec(f"bench.{name}") is None:
            if not given.json:
                print(f"## {name}\n\nnot here\n")
            continue
        begun = time.monotonic()
        lines, status = run(name, brief=not given.full)
        failed += status != 0
        if given.json:
            print("\n".join(lines), flush=True)
            continue
        figures: list[Figure] = [from_json(json.loads(line)) for line in lines]
        took = time.monotonic() - begun
        print(f"## {name} ({took:.0f} s)\n\n{render(figures)}\n", flush=True)
        if status:
            print(f"{name} failed with {status}; it told why on stderr\n", flush=True)
    return 1 if failed else 0


def run(name: str, *, brief: bool) -> tuple[list[str], int]:
    """Run one benchmark; return its lines of JSON and its status."""
    command = [sys.executable, "-m", f"bench.{name}", "--json", *(["--brief"] if brief else [])]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=LONGEST_S, check=False
    )
    return [line for line in done.stdout.splitlines() if line.startswith("{")], done.returncode


if __name__ == "__main__":
    sys.exit(main())
