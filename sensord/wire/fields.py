"""Reading the fields of a request: each is checked by name, and an error names what to send."""

from __future__ import annotations

from typing import cast

from sensord.device.conform import value_fault
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.model.topics import filter_fault, topic_fault
from sensord.wire.frames import EXACT, Message

__all__ = ["MAX_FILTERS", "bad", "flag", "integer", "number", "open_id"]
__all__ += ["text", "topic", "topics", "value"]

MAX_FILTERS = 64


def bad(field: str, wanted: str) -> ProtocolError:
    """Return the error to raise for a field."""
    return ProtocolError("bad_request", f"{field}: {wanted}")


def topics(message: Message) -> tuple[str, ...]:
    """Read ``topics``: a list of filters.

    Raises:
        ProtocolError: It is not one.
    """
    found = message.get("topics")
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_FILTERS:
        raise bad("topics", f"send a list of 1 to {MAX_FILTERS} filters")
    for topic in found:
        if not isinstance(topic, str):
            raise bad("topics", "each filter is a text")
        if fault := filter_fault(topic):
            raise bad("topics", f'"{topic[:80]}": {fault}')
    # Order and repetition do not matter; sorted, equal selections are equal.
    return tuple(sorted(set(found)))


def number(message: Message, field: str, default: float, low: float, high: float) -> float:
    """Read a number within bounds, which it may equal.

    Raises:
        ProtocolError: It is not one.
    """
    raw = message.get(field, default)
    if type(raw) not in (int, float) or not low <= raw <= high:
        raise bad(field, f"send a number from {low:g} to {high:g}")
    return float(raw)


def integer(message: Message, field: str, default: int, low: int, high: int) -> int:
    """Read an integer within bounds, which it may equal.

    Raises:
        ProtocolError: It is not one.
    """
    raw = message.get(field, default)
    if type(raw) is not int or not low <= raw <= high:
        raise bad(field, f"send an integer from {low} to {high}")
    return raw


def open_id(message: Message, field: str, wanted: str) -> int:
    """Read the id of an open request.

    Raises:
        ProtocolError: It is not one.
    """
    raw = message.get(field)
    if type(raw) is not int or not 0 <= raw < EXACT:
        raise bad(field, wanted)
    return raw


def topic(message: Message, field: str = "topic") -> str:
    """Read one topic, or a name of its shape.

    Raises:
        ProtocolError: It is not one.
    """
    found = message.get(field)
    if not isinstance(found, str):
        raise bad(field, "send a text")
    if fault := topic_fault(found):
        raise bad(field, f'"{found[:80]}": {fault}')
    return found


def text(message: Message, field: str, most: int) -> str:
    """Read a short text without control characters; empty if it is missing.

    Raises:
        ProtocolError: It is not one.
    """
    found = message.get(field, "")
    if not isinstance(found, str) or len(found) > most or not found.isprintable():
        raise bad(field, f"send a text of at most {most} characters, none of them a control")
    return found


_MISSING = object()


def value(message: Message, field: str, default: object = _MISSING) -> Value:
    """Read a value that a reading may hold, or null.

    Raises:
        ProtocolError: It is missing and has no default, or is not a value.
    """
    found = message.get(field, default)
    if found is _MISSING:
        raise bad(field, "send a value")
    if fault := value_fault(found):
        raise bad(field, fault)
    return cast("Value", found)


def flag(message: Message, field: str) -> bool:
    """Read true or false; false if it is missing.

    Raises:
        ProtocolError: It is neither.
    """
    raw = message.get(field, False)
    if type(raw) is not bool:
        raise bad(field, "send true or false")
    return raw
