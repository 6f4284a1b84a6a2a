"""Make a topic level of a device's name for a thing."""

from __future__ import annotations

import functools

__all__ = ["field_level"]

MAX_LEVEL_CHARACTERS = 64
"""A topic has room for a few such levels; a longer name is noise."""

_MEANT_FOR_TOPICS = frozenset("/+#")


@functools.lru_cache(maxsize=4096)
def field_level(name: str) -> str:
    """Return ``name`` as one level of a field: always valid, the same for the same name.

    What a topic may not hold becomes ``_``: wildcards, slashes, control characters, and a ``$`` in
    the first place, for no device may speak under ``$sys``.
    """
    level = name.strip()[:MAX_LEVEL_CHARACTERS]
    if level.startswith("$"):
        level = f"_{level[1:]}"
    if not level.isprintable() or not _MEANT_FOR_TOPICS.isdisjoint(level):
        level = "".join(
            character if character.isprintable() and character not in _MEANT_FOR_TOPICS else "_"
            for character in level
        )
    return level or "_"
