"""What both encodings can carry: what one client sends, others of either encoding receive."""

from __future__ import annotations

from math import isfinite

from sensord.errors import ProtocolError

__all__ = ["check_portable"]

_LEAST, _GREATEST = -(2**63), 2**64 - 1
"""What msgpack holds."""

DEEPEST = 100
"""Levels of lists and maps: the encoders and decoders of some languages end there."""


def check_portable(message: object) -> None:
    """Refuse a decoded message with a part that the other encoding cannot carry.

    Raises:
        ProtocolError: A number is out of bounds, a value bytes, a key no text, or it is too deep.
    """
    level: list[object] = [message]
    for _ in range(DEEPEST + 1):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                if not all(isinstance(key, str) for key in value):
                    raise ProtocolError("bad_message", "the keys of a map are texts")
                below += value.values()
            elif isinstance(value, list | tuple):
                below += value
            else:
                _check(value)
        if not below:
            return
        level = below
    raise ProtocolError("bad_message", f"more than {DEEPEST} levels of lists and maps")


def _check(value: object) -> None:
    if isinstance(value, bytes):
        raise ProtocolError("bad_message", "binary data: send a text")
    if isinstance(value, float) and not isfinite(value):
        raise ProtocolError("bad_message", "a number that is not finite: send null")
    if isinstance(value, int) and not _LEAST <= value <= _GREATEST:
        raise ProtocolError("bad_message", "an integer of more than 64 bits")
