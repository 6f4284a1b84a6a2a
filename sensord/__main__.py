"""Run the `sensord` command as `python -m sensord`; it ends quietly at any moment."""

from __future__ import annotations

import sys

__all__ = ["run"]


def run() -> int:
    """Run a command; return its exit status."""
    try:
        # Imported here: Ctrl-C may come as early as that.
        from sensord.cli import main  # noqa: PLC0415

        return main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(run())
