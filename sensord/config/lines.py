"""Find the line of each key in a TOML text, for error messages.

`tomllib` returns values but not their places. This walks a text that `tomllib` has already
accepted, so it needs no errors of its own. Keys inside inline tables and arrays are not listed:
their fault is shown at the key that holds them.
"""

from __future__ import annotations

import re
import tomllib

from sensord.config.schema import Path

__all__ = ["Lines"]

_KEY = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_BLANK = re.compile(r"(?:\s+|#[^\n]*)+")
_MARK = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[{]|[\]}]|\n",
    re.DOTALL,
)


class Lines:
    """The lines of a configuration text, by path."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: dict[Path, int] = {(): 1}
        self._counts: dict[Path, int] = {}
        self._read()

    def of(self, path: Path) -> int:
        """Return the line of a path, or of the nearest thing that holds it, counted from 1."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _read(self) -> None:
        text, at = self._text, 0
        line, counted = 1, 0
        table: Path = ()
        while True:
            if blank := _BLANK.match(text, at):
                at = blank.end()
            if at >= len(text):
                return
            line += text.count("\n", counted, at)
            counted = at
            if text[at] == "[":
                is_array = text.startswith("[[", at)
                keys, at = self._keys(at + 1 + is_array)
                at += 1 + is_array
                table = self._enter(keys, line, is_array=is_array)
            else:
                keys, at = self._keys(at)
                path = table
                for key in keys:
                    path = (*path, key)
                    self._lines.setdefault(path, line)
                at = self._skip_value(at + 1)

    def _keys(self, at: int) -> tuple[list[str], int]:
        keys = []
        while True:
            found = _KEY.match(self._text, at)
            assert found is not None, "tomllib has accepted the text"
            key = found[1]
            # Quoted keys may hold escapes: whoever reads the values reads them too.
            keys.append(next(iter(tomllib.loads(f"{key} = 0"))) if key[0] in "\"'" else key)
            at = found.end()
            if self._text[at] != ".":
                return keys, at
            at += 1

    def _enter(self, keys: list[str], line: int, *, is_array: bool) -> Path:
        path: Path = ()
        for i, key in enumerate(keys):
            path = (*path, key)
            self._lines.setdefault(path, line)  # a table above it may have no line of its own
            last = i == len(keys) - 1
            if last and is_array:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = (*path, self._counts[path])
                self._lines.setdefault(path, line)
        return path

    def _skip_value(self, at: int) -> int:
        depth = 0
        while found := _MARK.search(self._text, at):
            at = found.end()
            mark = found[0]
            if mark in "[{":
                depth += 1
            elif mark in "]}":
                depth -= 1
            elif mark == "\n" and not depth:
                return at
        return len(self._text)
