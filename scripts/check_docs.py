"""Fail on a broken link in the documents, an example that is not true, or a test that is missing.

Links between documents must lead to a file, and to a heading where they name one. TOML examples
must pass as configuration; a block marked ``toml-fragment`` is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sensord.config.build import build
from sensord.config.load import with_profiles
from sensord.config.schema import Faults
from sensord.decode import registry as decoders
from sensord.hub.options import build as build_hub
from sensord.readers import registry as readers
from sensord.uplinks import registry as uplinks

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken_links(file: Path) -> Iterator[str]:
    """Yield what a document's links do not reach."""
    for found in LINK.finditer(CODE.sub("", file.read_text())):
        target = found[1] or found[2]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (file.parent / name).resolve() if name else file.resolve()
        if not there.exists():
            yield f"{file}: {target} leads nowhere"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text()):
            yield f"{file}: {target}: there is no such heading"


def missing_tests(file: Path) -> Iterator[str]:
    """Yield the tests that a document names and that do not exist."""
    for found in TEST.finditer(file.read_text()):
        there = Path(found[1])
        text = there.read_text() if there.exists() else ""
        if not re.search(rf"^(async )?def {found[2]}\(", text, re.MULTILINE):
            yield f"{file}: there is no test {found[1]}::{found[2]}"


def false_examples(file: Path) -> Iterator[str]:
    """Yield the faults of a document's configuration examples."""
    text = file.read_text()
    for found in TOML.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        try:
            raw = tomllib.loads(found[1])
        except tomllib.TOMLDecodeError as exc:
            yield f"{file}:{line}: not TOML: {exc}"
            continue
        faults = Faults()
        if "hub" in raw:
            build_hub(raw, faults)
            for path, message in (*faults.found, *faults.doubts):
                yield f"{file}:{line}: {'.'.join(map(str, path))}: {message}"
            continue
        raw, _ = with_profiles(raw, file.parent, faults)
        for name, device in raw.get("devices", {}).items():
            # An example about decoding need not say where the bytes come from.
            device.setdefault("reader", "serial")
            if device["reader"] == "serial":
                device.setdefault("port", f"/dev/tty-{name}")
                device.setdefault("decoder", "json")
        build(raw, faults, readers, decoders, uplinks=uplinks)
        for path, message in (*faults.found, *faults.doubts):
            yield f"{file}:{line}: {'.'.join(map(str, path))}: {message}"


def main() -> int:
    """Check every document; return the exit status."""
    listed = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True)
    files = [Path(name) for name in listed.stdout.split()]
    checks = (broken_links, false_examples, missing_tests)
    faults = [fault for file in files for check in checks for fault in check(file)]
    listing = [sys.executable, "scripts/list_devices.py", "--check"]
    if subprocess.run(listing, check=False).returncode:
        faults.append("hardware/devices.md: run scripts/list_devices.py")
    print("\n".join(faults) or f"documents: {len(files)} checked")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
