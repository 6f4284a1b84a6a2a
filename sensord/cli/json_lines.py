"""`--json` of commands that print an answer for people: the same answer as JSON lines."""

from __future__ import annotations

import json
from typing import BinaryIO, TextIO

from sensord.cli.statuses import code_of, status_of
from sensord.errors import SensordError

__all__ = ["JsonLines", "error_line"]


class JsonLines:
    """Writes each line as an object: JSON as its ``result``, anything else as its ``text``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rest = ""

    @property
    def buffer(self) -> BinaryIO:
        """The bytes below, for commands that write a file to the standard output."""
        return self._out.buffer

    def write(self, text: str) -> int:
        """Write what is complete."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._out.write(f"{_object(line)}\n")
        return len(text)

    def flush(self) -> None:
        """Write it out."""
        self._out.flush()

    def isatty(self) -> bool:
        """Return False: this is for programs."""
        return False

    def fileno(self) -> int:
        """Return the descriptor below."""
        return self._out.fileno()

    def close(self) -> None:
        """Write what has no end of line."""
        if self._rest:
            self.write("\n")
        self.flush()


def _object(line: str) -> str:
    try:
        found: dict[str, object] = {"result": json.loads(line)}
    except ValueError:
        found = {"text": line}
    return json.dumps(found, ensure_ascii=False)


def error_line(error: SensordError) -> str:
    """Write an error as an object."""
    fault: dict[str, object] = {"status": status_of(error), "message": str(error)}
    if code := code_of(error):
        fault["code"] = code
    return json.dumps({"error": fault}, ensure_ascii=False)
