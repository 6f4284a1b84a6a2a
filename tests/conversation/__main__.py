"""Plays the whole conversation, and says what each saw: `python -m tests.conversation`."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conversation.play import play
from tests.conversation.show import BrokenError, Show


def main() -> int:
    """Play it on standard output; return the exit status."""
    logging.disable()  # what the clients log of lost connections is part of the play
    show = Show(lambda line: print(line, flush=True))  # noqa: T201  # it is a program
    with tempfile.TemporaryDirectory(prefix="sensord-", ignore_cleanup_errors=True) as folder:
        try:
            asyncio.run(play(show, Path(folder)))
        except BrokenError as exc:
            print(f"\n{exc}", file=sys.stderr)  # noqa: T201
            return 1
        except pytest.skip.Exception as exc:
            print(f"cannot be played here: {exc}", file=sys.stderr)  # noqa: T201
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
