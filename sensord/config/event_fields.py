"""Recognise fields that report something that happened, by their names alone. Pure.

A button that is pressed twice sends the same word twice, and a policy that publishes changes would
show one press.
"""

from __future__ import annotations

import re

__all__ = ["is_event"]

_NAMES = (
    "action actions event button buttons buttonevent buttonpress press pressed click clicked clicks"
    " doubleclick keypress doorbell gesture knock card cardid cardno rfid rfidtag tagid barcode"
    " qrcode scan scanned fingerprint ircode irhvac rfcode"
)

_EVENTS = frozenset(_NAMES.split())


def is_event(field: str) -> bool:
    """Return whether a field's last level names an event."""
    return re.sub(r"[^a-z0-9]", "", field.rpartition("/")[2].casefold()).rstrip("0123456789") in (
        _EVENTS
    )
