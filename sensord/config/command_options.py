"""The commands that clients may send: the tables ``writable`` and ``actions`` of a device.

How it is sent is the reader's business: its options stand in the same table, and it brings their
type. What is here holds for every reader: which values are allowed, and what confirms a command.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from sensord.config.schema import Duration, Scalar, Within
from sensord.decode.regex import Pattern
from sensord.decode.regex import pattern_fault as regex_fault
from sensord.model.readings import Value, ValueType
from sensord.model.topics import pattern_fault
from sensord.model.units import unit_fault

__all__ = ["Action", "Argument", "Command", "Writable", "Write"]

MAX_TEXT_CHARACTERS = 200
"""Of a text that a client gives: no device's display is longer."""

Confirm = Literal["auto", "sent", "answer", "state", "both"]

_TYPES = (ValueType.FLOAT, ValueType.INT, ValueType.BOOL, ValueType.STRING)


@dataclass(frozen=True, slots=True)
class Argument:
    """A value that a client gives, and what it may be."""

    type: ValueType = ValueType.FLOAT
    unit: str = ""
    range: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    default: Scalar | None = None
    description: str = ""

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a unit that no program knows."""
        if self.unit and (message := unit_fault(self.unit)):
            yield "unit", message

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        limits = list(_limits(self.type, self.range, self.choices))
        yield from limits
        # Only limits that are right can be compared with.
        if not limits and self.default is not None and (message := self.fault(self.default)):
            yield "default", message

    def fault(self, value: Value) -> str | None:
        """Return why a value is not one of these, or None."""
        match self.type:
            case ValueType.BOOL:
                return None if isinstance(value, bool) else "send true or false"
            case ValueType.STRING:
                return self._text_fault(value)
            case _:
                return self._number_fault(value)

    def typed(self, value: Value) -> Value:
        """Return a value that has no fault as the type has it."""
        if self.type is ValueType.FLOAT and isinstance(value, int):
            return float(value)
        if self.type is ValueType.INT and isinstance(value, float):
            return int(value)
        return value

    def sample(self) -> Value:
        """Return some value of the type, to try a text with."""
        match self.type:
            case ValueType.BOOL:
                return True
            case ValueType.STRING:
                return "x"
            case ValueType.INT:
                return 0
            case _:
                return 0.0

    def _text_fault(self, value: Value) -> str | None:
        if self.choices:
            if value in self.choices:
                return None
            return f"send one of {', '.join(self.choices)}"
        if not isinstance(value, str) or len(value) > MAX_TEXT_CHARACTERS:
            return f"send a text of at most {MAX_TEXT_CHARACTERS} characters"
        # A line's end would be the beginning of a second command.
        return None if value.isprintable() else "send a text without control characters"

    def _number_fault(self, value: Value) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "send a number"
        if self.type is ValueType.INT and value != int(value):
            return "send a whole number"
        if self.range and not self.range[0] <= value <= self.range[1]:
            low, high = self.range
            return f"send a number from {low:g} to {high:g}"
        try:
            float(value)
        except OverflowError:
            return "send a smaller number"
        return None


def _limits(
    kind: ValueType, limits: tuple[float, ...], choices: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    if kind not in _TYPES:
        yield "type", "a value that is sent to a device is float, int, bool or string"
    if limits and (len(limits) != 2 or limits[0] > limits[1]):  # noqa: PLR2004  # a pair
        yield "range", "expected [lowest, highest]"
    if limits and kind not in {ValueType.FLOAT, ValueType.INT}:
        yield "range", f"is for numbers, and this is {kind}"
    if choices and kind is not ValueType.STRING:
        yield "choices", f"is for texts, and this is {kind}"


@dataclass(frozen=True, slots=True)
class _Confirmed:
    confirm: Confirm = "auto"
    answer: str = ""
    refusal: str = ""
    state: str = ""
    tolerance: Annotated[float, Within(0, 1e300)] = 0.0
    timeout: Annotated[Duration, Within(0.01, 3600)] = 5.0
    description: str = ""

    def _faults(self) -> Iterator[tuple[str, str]]:
        for key, pattern in (("answer", self.answer), ("refusal", self.refusal)):
            if message := regex_fault(pattern):
                yield key, message
        if self.confirm in {"answer", "both"} and not self.answer:
            yield "answer", f'is needed with confirm = "{self.confirm}"'
        if self.refusal and not self.answer:
            yield "refusal", "needs answer beside it: what the device says if it did"
        if self.answer and self.confirm in {"sent", "state"}:
            yield "answer", f'confirms nothing with confirm = "{self.confirm}"'
        if self.state and (message := pattern_fault(self.state)):
            yield "state", message


@dataclass(frozen=True, slots=True)
class Writable(_Confirmed):
    """One topic that clients may set. Its channel supplies what is missing here."""

    type: ValueType | None = None
    range: tuple[float, ...] = ()
    choices: tuple[str, ...] = ()
    topic: str = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        yield from self._faults()
        if self.topic and (message := pattern_fault(self.topic)):
            yield "topic", message


@dataclass(frozen=True, slots=True)
class Action(_Confirmed):
    """One action that clients may call."""

    arguments: dict[str, Argument] = field(default_factory=dict)
    reaches: Scalar | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        yield from self._faults()
        for name in self.arguments:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                yield "arguments", f"{name}: a name has letters, digits and _"
        if (self.reaches is None) is bool(self.state):
            key = "reaches" if self.state else "state"
            yield key, "state and reaches go together: which topic is to have which value"
        if self.confirm in {"state", "both"} and not self.state:
            yield "state", f'is needed with confirm = "{self.confirm}"'


class Write(Protocol):
    """A reader's options of how one command is sent."""

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield ``(key, text)`` for each text with places for values."""
        ...

    def message(self, values: Mapping[str, Value]) -> object:
        """Return the message to send, with the values in their places; the reader's own type.

        Raises:
            ValueError: The values cannot be sent; the text says which and why.
        """
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """What a device does for one `set` or `call`, resolved."""

    name: str
    """The topic, or ``<device>/<action>``."""
    field: str
    """The field that is set, or the action."""
    is_set: bool
    arguments: Mapping[str, Argument]
    how: Write
    """The reader's own options."""
    answer: Pattern | None = None
    refusal: Pattern | None = None
    state: str = ""
    """The topic that is to reach a value, or none."""
    reaches: Value = None
    """Which value; of what is set, the value that is set."""
    tolerance: float = 0.0
    decimals: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    values: Mapping[str, Scalar] = dataclasses.field(default_factory=dict)
    """The device's words for what is set, where its channel has such."""
    timeout_s: float = 5.0
    description: str = ""

    def raw(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the values as the device has them: its words, or before scale and offset.

        Raises:
            ValueError: The device has no word for the value.
        """
        value = values.get("value")
        if self.is_set and self.values and value is not None:
            return {"value": self._word(value)}
        is_plain = self.scale == 1.0 and self.offset == 0.0
        if not self.is_set or is_plain or isinstance(value, bool | str) or value is None:
            return dict(values)
        assert isinstance(value, int | float)
        # Rounded, for 21.5 / 0.1 is 215.00000000000003.
        return {"value": float(f"{(value - self.offset) / self.scale:.12g}")}

    def _word(self, value: Value) -> str:
        for word, meant in self.values.items():
            if meant == value and isinstance(meant, bool) is isinstance(value, bool):
                return word
        known = ", ".join(dict.fromkeys(map(str, self.values.values())))
        raise ValueError(f"the device has no word for {value}; send one of {known}")

    def meaning_of(self, text: str) -> Value:
        """Return the meaning of a device's word, or None."""
        plain = text.strip().casefold()
        return next((one for word, one in self.values.items() if word.casefold() == plain), None)

    def has_reached(self, value: Value, wanted: Value) -> bool:
        """Return whether the state's value is the one that was asked for."""
        if not (isinstance(value, int | float) and isinstance(wanted, int | float)):
            return type(value) is type(wanted) and value == wanted
        if isinstance(value, bool) or isinstance(wanted, bool):
            return value == wanted
        step = 0.0 if self.decimals is None else 0.5 * 10.0**-self.decimals
        allowed = max(self.tolerance, step, 1e-9 * abs(wanted))
        return math.isclose(value, wanted, rel_tol=1e-12, abs_tol=allowed * (1 + 1e-9))
