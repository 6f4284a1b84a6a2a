"""Fail on a module that has no test of its name and no line in `tests/mirror.toml`.

A module is tested by `tests/unit/<folder>/test_<name>.py`. Where another file tests it, that
file is named in `tests/mirror.toml`. The lines of unit tests there were measured: the file runs at
least half of the statements in the module's functions.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PACKAGE, TESTS, MAP = Path("sensord"), Path("tests"), Path("tests/mirror.toml")


def modules() -> Iterator[Path]:
    """Yield every module that has something to test, below the package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        if any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in tree.body
        ):
            yield file.relative_to(PACKAGE)


def own_test(module: Path) -> Path:
    """Return the test file of a module's own name."""
    if module.name == "__init__.py":
        return TESTS / "unit" / module.parent.parent / f"test_{module.parent.name or 'init'}.py"
    return TESTS / "unit" / module.parent / f"test_{module.stem}.py"


def faults() -> Iterator[str]:
    """Yield what is missing, needless or untrue."""
    listed: dict[str, str] = tomllib.loads(MAP.read_text())
    left = dict(listed)
    for module in modules():
        named = left.pop(str(module), None)
        if own_test(module).exists():
            if named is not None:
                yield f"{MAP}: {module} has {own_test(module)}; leave the line out"
        elif named is None:
            yield f"{module}: no {own_test(module)}, and no line in {MAP} names another test"
        elif not (TESTS / named).exists():
            yield f"{MAP}: {module}: no file tests/{named}"
    for module in left:
        yield f"{MAP}: no module {module}"


def main() -> int:
    """Check every module; return the exit status."""
    found = list(faults())
    print("\n".join(found) or "mirror: every module has its test")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
