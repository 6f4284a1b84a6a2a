"""Turn a table of TOML into a frozen dataclass, collecting every fault on the way.

A configuration class is a frozen dataclass; its annotations are the schema. Beyond the plain types
(``bool``, ``int``, ``float``, ``str``, enums, ``Literal``, ``X | None``, ``tuple[X, ...]``,
``dict[str, X]`` and other dataclasses) these say what a number or text means:

* `Duration`: seconds, written ``"500ms"``, ``"10s"``, ``"5m"``, ``"1h"``, ``"7d"`` or a number;
* `Size`: bytes, written ``"64KiB"``, ``"16MiB"``, ``"1GiB"`` or a number;
* `Printable`: a text without control characters: a path, a host, an argument of a program;
* `Scalar`: a number, a text, true or false;
* ``object``: anything, as it is, for whoever structures it later;
* ``Annotated[int, Within(1, 65535)]``: a range, both ends included; also of a `Duration` or `Size`.

A class may define ``faults()``, which yields ``(key, message)`` for what one field cannot know,
and ``warnings()``, for what may be meant but seldom is.
Nothing here touches a file, a device or the network.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import functools
import json
import math
import re
import sys
import types
import typing
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from sensord.model.durations import SECONDS

__all__ = [
    "Duration",
    "Faults",
    "Path",
    "Printable",
    "Scalar",
    "Size",
    "Within",
    "as_duration",
    "as_size",
    "show",
    "structure",
    "unknown_key",
]

T = TypeVar("T")

Path = tuple[str | int, ...]
"""Where in the tree: keys and list indexes from the root."""


class Faults:
    """Collects what is wrong, and what is doubtful, each with its path."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, str]] = []
        self.doubts: list[tuple[Path, str]] = []

    def add(self, path: Path, message: str) -> None:
        """Note one fault."""
        self.found.append((path, message))

    def warn(self, path: Path, message: str) -> None:
        """Note what is accepted but hardly meant."""
        self.doubts.append((path, message))


@dataclasses.dataclass(frozen=True, slots=True)
class Within:
    """Both ends of the range that a number must lie in."""

    low: float
    high: float


class _Unit(enum.Enum):
    DURATION = enum.auto()
    SIZE = enum.auto()
    SCALAR = enum.auto()


Duration = Annotated[float, _Unit.DURATION]
"""Seconds."""

Size = Annotated[int, _Unit.SIZE]
"""Bytes."""


class _Text(enum.Enum):
    PRINTABLE = enum.auto()


Printable = Annotated[str, _Text.PRINTABLE]
"""Text that the system would refuse later, and less clearly, with a zero byte in it."""

Scalar = Annotated[bool | int | float | str, _Unit.SCALAR]
"""One plain value, of any type."""

_BYTES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "kB": 10**3, "MB": 10**6}
_BYTES |= {"GB": 10**9}
LONGEST_S = 36_500 * 86_400.0
LARGEST_BYTES = 2**50
"""A hundred years and 1 PiB: the bounds of what has none of its own. Clocks and the kernel's calls
overflow beyond."""

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def structure(cls: type[T], table: Mapping[str, object], path: Path, faults: Faults) -> T | None:
    """Build ``cls`` from ``table``; collect every fault in ``faults``, and then return None."""
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]  # cls is a dataclass
    hints = _hints(typing.cast("Hashable", cls))
    before = len(faults.found)
    values: dict[str, object] = {}
    whole = True
    for key, raw in table.items():
        if key not in fields:
            faults.add((*path, key), unknown_key(key, fields))
            continue
        value = _convert(hints[key], raw, (*path, key), faults)
        if value is not _FAULTY:
            values[key] = value
        elif not _has_default(fields[key]):
            whole = False
    for name, field in fields.items():
        if name not in table and not _has_default(field):
            faults.add((*path, name), "is missing and has no default")
            whole = False
    if not whole:
        return None
    # Unknown and faulty keys do not hide other faults: defaults replace them.
    built = cls(**values)
    reported = {at for at, _ in faults.found[before:]}
    for at, message in _own(built, "faults", path):
        if at not in reported:
            faults.add(at, message)
    for at, message in _own(built, "warnings", path):
        faults.warn(at, message)
    return built if len(faults.found) == before else None


def _own(built: object, name: str, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a class's own faults and warnings, at their paths."""
    own: Callable[[], Iterator[tuple[str | Path, str]]] | None = getattr(built, name, None)
    for key, message in () if own is None else own():
        yield ((*path, key) if isinstance(key, str) and key else (*path, *key)), message


def unknown_key(key: str, known: typing.Iterable[str]) -> str:
    """Word the refusal of a key, with the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; known are {', '.join(known)}"


@functools.cache
def _hints(cls: Hashable) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


class _Faulty(enum.Enum):
    FAULTY = enum.auto()


_FAULTY = _Faulty.FAULTY


def _convert(hint: Any, raw: object, path: Path, faults: Faults) -> object:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        return _annotated(hint, raw, path, faults)
    if origin is Literal:
        return _choice(typing.get_args(hint), raw, path, faults)
    if origin in {typing.Union, types.UnionType}:
        (inner,) = (arg for arg in typing.get_args(hint) if arg is not type(None))
        return _convert(inner, raw, path, faults)
    if origin is tuple:
        return _sequence(typing.get_args(hint)[0], raw, path, faults)
    if origin is dict:
        return _mapping(typing.get_args(hint)[1], raw, path, faults)
    if dataclasses.is_dataclass(hint):
        if not isinstance(raw, dict):
            return _refuse("a table", raw, path, faults)
        built = structure(typing.cast("type[object]", hint), raw, path, faults)
        return _FAULTY if built is None else built
    if hint is object:
        return raw  # structured later, by code that knows its type
    if issubclass(hint, enum.Enum):
        value = _choice(tuple(member.value for member in hint), raw, path, faults)
        return value if value is _FAULTY else hint(value)
    return _scalar(hint, raw, path, faults)


_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def _scalar(hint: Any, raw: object, path: Path, faults: Faults) -> object:
    if hint is float and type(raw) is int and abs(raw) <= sys.float_info.max:
        return float(raw)
    # `type(...) is` and not isinstance: True is an int to Python, not to an operator.
    if type(raw) is not hint:
        return _refuse(_NAMES[hint], raw, path, faults)
    if type(raw) is float and not math.isfinite(raw):
        return _refuse("a finite number", raw, path, faults)
    return raw


def _annotated(hint: Any, raw: object, path: Path, faults: Faults) -> object:
    inner, *notes = typing.get_args(hint)
    within = next((note for note in notes if isinstance(note, Within)), None)
    if _Unit.DURATION in notes:
        value = _amount(SECONDS, 'a duration such as "500ms", "10s" or "1h"', raw, path, faults)
        bounds = within or Within(0, LONGEST_S)
        return _bounded(value, bounds, "a duration", as_duration, raw, path, faults)
    if _Unit.SIZE in notes:
        value = _amount(_BYTES, 'a size such as "64KiB" or "16MiB"', raw, path, faults)
        whole = int(value) if isinstance(value, float) else value
        bounds = within or Within(0, LARGEST_BYTES)
        return _bounded(whole, bounds, "a size", as_size, raw, path, faults)
    if _Unit.SCALAR in notes:
        is_one = type(raw) in {bool, int, str} or (type(raw) is float and math.isfinite(raw))
        return raw if is_one else _refuse("a number, a text, true or false", raw, path, faults)
    value = _convert(inner, raw, path, faults)
    if _Text.PRINTABLE in notes and isinstance(value, str) and not value.isprintable():
        return _refuse("a text without control characters", raw, path, faults)
    if within is None:
        return value
    return _bounded(value, within, "a value", lambda end: f"{end:,.10g}", raw, path, faults)


def _bounded(
    value: object,
    within: Within,
    what: str,
    written: Callable[[float], str],
    raw: object,
    path: Path,
    faults: Faults,
) -> object:
    if not isinstance(value, int | float) or within.low <= value <= within.high:
        return value
    wanted = f"{what} from {written(within.low)} to {written(within.high)}"
    return _refuse(wanted, raw, path, faults)


def as_duration(seconds: float) -> str:
    """Write a duration as a configuration has it, in the largest unit that keeps it whole."""
    return _as_amount(
        seconds, [("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)], ("ms", 1e-3)
    )


def as_size(size: float) -> str:
    """Write a size as a configuration has it, in the largest unit that keeps it whole."""
    larger = [("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)]
    return _as_amount(size, larger, ("B", 1.0))


def _as_amount(amount: float, larger: list[tuple[str, float]], smallest: tuple[str, float]) -> str:
    if not amount:
        return "0"
    fitting = ((unit, one) for unit, one in larger if amount >= one and not amount % one)
    unit, one = next(fitting, smallest)
    return f'"{amount / one:.10g}{unit}"'


def _amount(units: dict[str, Any], wanted: str, raw: object, path: Path, faults: Faults) -> object:
    number: float | None = None
    if type(raw) in {int, float}:
        number = typing.cast("float", raw)
    elif isinstance(raw, str) and (found := _AMOUNT.fullmatch(raw)) and found[2] in units:
        number = float(found[1]) * units[found[2]]
    # An integer may have more digits than any float.
    if number is None or not 0 <= number <= sys.float_info.max:
        return _refuse(wanted, raw, path, faults)
    return float(number)


def _choice(allowed: tuple[Any, ...], raw: object, path: Path, faults: Faults) -> object:
    if raw in allowed and type(raw) in {type(one) for one in allowed}:
        return raw
    listed = ", ".join(show(one) for one in allowed)
    near = difflib.get_close_matches(str(raw), [str(one) for one in allowed], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return _refuse(f"one of {listed}", raw, path, faults, hint)


def _sequence(inner: Any, raw: object, path: Path, faults: Faults) -> object:
    if not isinstance(raw, list):
        return _refuse("a list", raw, path, faults)
    items = [_convert(inner, item, (*path, i), faults) for i, item in enumerate(raw)]
    return _FAULTY if _FAULTY in items else tuple(items)


def _mapping(inner: Any, raw: object, path: Path, faults: Faults) -> object:
    if not isinstance(raw, dict):
        return _refuse("a table", raw, path, faults)
    items = {key: _convert(inner, item, (*path, key), faults) for key, item in raw.items()}
    return _FAULTY if _FAULTY in items.values() else items


def _refuse(wanted: str, raw: object, path: Path, faults: Faults, hint: str = "") -> _Faulty:
    faults.add(path, f"expected {wanted}, got {show(raw)}{hint}")
    return _FAULTY


def show(raw: object) -> str:
    """Write a value as TOML would, for a message."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            return json.dumps(raw, ensure_ascii=False)  # which TOML reads alike
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return str(raw)
