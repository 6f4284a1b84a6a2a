"""Name damage of the journal in the daemon's log, each once; `Ledger` knows which was named."""

from __future__ import annotations

import logging

from sensord.log.journal import Damage

__all__ = ["warn"]

log = logging.getLogger("sensord.journal")


def warn(damage: Damage, cause: Exception | None = None) -> None:
    """Write a warning; an error with a traceback if the ``cause`` was not foreseen."""
    if cause is None:
        log.warning("damage in the journal", extra=damage.fields)
    else:
        log.error("the journal could not be read", extra=damage.fields, exc_info=cause)
