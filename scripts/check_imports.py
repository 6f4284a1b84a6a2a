"""Fail on an import that goes against the data's way.

The layers are those of `docs/architecture.md`: each may import from its own group's parts as
listed, and from any layer before it. Packages of one layer do not import each other: a reader
does not know the server.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

LAYERS: list[set[str]] = [
    {"sensord", "errors", "model", "host", "config.schema", "sharing.identity"},
    {"access", "decode", "device.notation", "device.policy", "mcap"},
    {"device.conform", "log.journal", "profiles", "terminal"},
    {"config", "wire"},
    {"log", "recordings"},
    {"bus", "playback"},
    {"device", "sharing", "status", "web"},
    {"control", "readers"},
    {"client", "recordings.capture", "server", "service", "trial", "uplinks"},
    {"app", "hub", "replay_app"},
    {"cli"},
    {"__main__"},
]
"""From the values down to the commands. A longer name comes before a shorter one that holds it."""

PACKAGE = Path("sensord")


def layer(module: str) -> tuple[int, str]:
    """Return the layer of a module, and the part of it that it belongs to."""
    name = module.removeprefix("sensord").removeprefix(".") or "sensord"
    for length in (2, 1):
        part = ".".join(name.split(".")[:length])
        for number, parts in enumerate(LAYERS):
            if part in parts:
                return number, part
    raise SystemExit(f"{module} is in no layer of scripts/check_imports.py")


def imports(file: Path) -> set[str]:
    """Return the modules of ours that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = Path(*inner.split(".")).with_suffix(".py").exists()
                found.add(inner if is_module else node.module)
    return {name for name in found if name.partition(".")[0] == "sensord"}


def main() -> int:
    """Check every module; return the exit status."""
    faults = []
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        number, part = layer(module)
        for imported in sorted(imports(file)):
            theirs, their_part = layer(imported)
            if theirs > number or (theirs == number and their_part != part and number > 0):
                faults.append(f"{file}: imports {imported}, which lies further on")
    print("\n".join(faults) or "imports: all go one way")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
