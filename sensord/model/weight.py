"""The approximate memory of a value: texts and nested values have any size. Pure.

A bound in bytes of JSON does not bound memory: ``[[[[1]]]]`` has nine characters and uses 300
bytes.
"""

from __future__ import annotations

from sensord.model.readings import Value

__all__ = ["weight_of"]

NUMBER, TEXT, LIST, DICT = 32, 56, 72, 232
"""Bytes of an empty one, in CPython on a 64-bit machine."""

PLACE, ENTRY = 8, 104
"""The memory of an item in a list, and of a key in a dictionary with its slot."""


def weight_of(value: Value) -> int:
    """Return about how many bytes of memory a value uses."""
    match value:
        case str():
            # Python keeps one, two or four bytes for each character.
            return TEXT + len(value) * (1 if value.isascii() else 4)
        case list():
            return LIST + sum([PLACE + weight_of(one) for one in value])
        case dict():
            return DICT + sum([ENTRY + len(key) + weight_of(one) for key, one in value.items()])
        case _:
            return NUMBER
