"""The daemon's lines on stderr: constant messages with fields, one line each, for journald."""

from __future__ import annotations

import json
import logging
import os
import sys

__all__ = ["setup"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_PRIORITY = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""Syslog's levels, by which journald sorts. Source: sd-daemon(3)."""


class FieldsFormatter(logging.Formatter):
    """Write a record as ``message key=value ...``."""

    def __init__(self, *, to_journal: bool) -> None:
        super().__init__()
        self._to_journal = to_journal

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        fields = [
            f"{key}={_show(value)}" for key, value in vars(record).items() if key not in _STANDARD
        ]
        text = " ".join([record.getMessage(), *fields])
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + self.formatException(record.exc_info)
        if self._to_journal:
            # Each line carries the priority: journald reads every line as a message of its own.
            mark = f"<{_PRIORITY.get(record.levelname, 6)}>"
            return "\n".join(mark + line for line in text.splitlines())
        stamp = self.formatTime(record, "%H:%M:%S")
        return f"{stamp} {record.levelname.lower():7} {text}"


def _show(value: object) -> str:
    """Write a value so that no value can look like another field or another line."""
    text = str(value)
    if text and text.isprintable() and not any(c in text for c in ' "='):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def setup(level: str) -> None:
    """Send the log to stderr, in journald's form where it is journald that reads it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FieldsFormatter(to_journal="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
