"""Refuse docstrings whose first line begins with a verb that does not name the effect.

CONTRIBUTING.md asks for the field's verb: *return, report, record, accept, allow, continue*.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

VAGUE = {
    "Go": "continue",
    "Hear": "receive",
    "Know": "record, restore",
    "Learn": "record, note",
    "Let": "allow",
    "Say": "return, report",
    "Tell": "return, report, send",
}
"""The first word of a docstring, and what to write instead."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def faults(source: str) -> list[tuple[int, str, str]]:
    """Return line, first word and better words of each docstring that begins with a vague verb."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            word = text.split(maxsplit=1)[0]
            if word in VAGUE:
                found.append((getattr(node, "lineno", 1), word, VAGUE[word]))
    return found


def main() -> int:
    """Check the package; return the exit status."""
    root = Path(__file__).parent.parent
    count = 0
    for path in sorted((root / "sensord").rglob("*.py")):
        for line, word, better in faults(path.read_text(encoding="utf-8")):
            print(f"{path.relative_to(root)}:{line}: not {word!r}, but: {better}")
            count += 1
    if not count:
        print("words: every docstring names its effect")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
