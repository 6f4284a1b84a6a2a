"""Passwords and tokens in files of their own: the configuration contains none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sensord.host.files import read_text

__all__ = ["read_secret", "secret_faults"]


def read_secret(file: str) -> str:
    """Return the first line of a file; a relative name is a credential of the service manager.

    Raises:
        OSError: It cannot be read.
    """
    path = Path(file)
    if not path.is_absolute():
        path = Path(os.environ.get("CREDENTIALS_DIRECTORY", ".")) / path
    return read_text(path).partition("\n")[0].strip()


def secret_faults(options: object, *names: str) -> Iterator[tuple[str, str]]:
    """Yield a fault if more than one kind of secret is given."""
    given = [name for name in names if getattr(options, name)]
    for name in given[1:]:
        yield name, f"give {' or '.join(names)}, not both"
