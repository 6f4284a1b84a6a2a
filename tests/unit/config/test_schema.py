"""A table becomes a typed value, or every fault in it is told."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.schema import (
    Duration,
    Faults,
    Path,
    Printable,
    Size,
    Within,
    show,
    structure,
    unknown_key,
)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    """A table below."""

    needed: int
    low: float = 0.0
    high: float = 1.0

    def faults(self) -> Iterator[tuple[str, str]]:
        if self.low > self.high:
            yield "low", "is above high"
        if self.needed == 13:
            yield "", "13 brings bad luck"


@dataclass(frozen=True, slots=True)
class Outer:
    """Every kind of field that a configuration class may have."""

    flag: bool = False
    count: int = 0
    number: float = 0.0
    text: str = ""
    colour: Colour = Colour.RED
    mode: Literal["on", "off"] = "on"
    maybe: int | None = None
    other: Optional[str] = None  # noqa: UP045  # the older spelling works as well
    texts: tuple[str, ...] = ()
    path: Printable = ""
    wait: Duration = 1.0
    room: Size = 1024
    port: Annotated[int, Within(1, 65535)] = 1
    share: Annotated[float, Within(0, 0.5)] | None = None
    inner: Inner = Inner(1)
    inners: tuple[Inner, ...] = ()
    named: dict[str, Inner] = field(default_factory=dict)


def read(table: dict[str, Any], cls: Any = Outer) -> tuple[Any, dict[Path, str]]:
    """Return what was built, and the faults by their path."""
    faults = Faults()
    built = structure(cls, table, (), faults)
    assert (built is None) is bool(faults.found)
    return built, dict(faults.found)


def fault_of(table: dict[str, Any]) -> str:
    """Return the only fault of a table."""
    built, faults = read(table)
    assert built is None
    (message,) = faults.values()
    return message


# -- right values ----------------------------------------------------------------------------------


def test_an_empty_table_is_all_defaults() -> None:
    """Nothing has to be said."""
    assert read({}) == (Outer(), {})


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("flag", True, True),
        ("count", -5, -5),
        ("number", 5, 5.0),
        ("number", -0.5, -0.5),
        ("text", "", ""),
        ("colour", "blue", Colour.BLUE),
        ("mode", "off", "off"),
        ("maybe", 3, 3),
        ("other", "x", "x"),
        ("texts", ["a", "b"], ("a", "b")),
        ("text", "\0\n", "\0\n"),
        ("path", "/tmp/Größe 1", "/tmp/Größe 1"),
        ("port", 65535, 65535),
        ("share", 0, 0.0),
        ("inner", {"needed": 2}, Inner(2)),
        ("inners", [{"needed": 2}, {"needed": 3}], (Inner(2), Inner(3))),
        ("named", {"a": {"needed": 2}}, {"a": Inner(2)}),
    ],
)
def test_a_right_value_is_taken(key: str, raw: object, value: object) -> None:
    """With the type that its field declares."""
    built, _ = read({key: raw})
    found = getattr(built, key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("250us", 0.00025),
        ("500ms", 0.5),
        ("10s", 10.0),
        ("1.5m", 90.0),
        ("1h", 3600.0),
        ("7d", 604800.0),
        (" 2 s ", 2.0),
        (3, 3.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_a_duration_is_in_seconds(raw: object, seconds: float) -> None:
    """Written with a unit, or as a number."""
    built, _ = read({"wait": raw})
    assert math.isclose(built.wait, seconds)
    assert type(built.wait) is float


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        ("64KiB", 65536),
        ("16MiB", 16 * 2**20),
        ("1GiB", 2**30),
        ("2kB", 2000),
        ("1.5MB", 1_500_000),
        ("1GB", 10**9),
        ("100B", 100),
        ("100", 100),
        (4096, 4096),
        (1.5, 1),
    ],
)
def test_a_size_is_in_whole_bytes(raw: object, size: int) -> None:
    """Written with a unit, or as a number."""
    built, _ = read({"room": raw})
    assert built.room == size
    assert type(built.room) is int


# -- wrong values ----------------------------------------------------------------------------------

DURATION = 'expected a duration such as "500ms", "10s" or "1h"'
SIZE = 'expected a size such as "64KiB" or "16MiB"'


@pytest.mark.parametrize(
    ("key", "raw", "message"),
    [
        ("flag", 1, "expected true or false, got 1"),
        ("path", "/a\0", r'expected a text without control characters, got "/a\u0000"'),
        ("path", 1, "expected a text, got 1"),
        ("flag", "true", 'expected true or false, got "true"'),
        ("count", True, "expected an integer, got true"),
        ("count", 1.0, "expected an integer, got 1.0"),
        ("number", "1", 'expected a number, got "1"'),
        ("number", False, "expected a number, got false"),
        ("number", math.nan, "expected a finite number, got nan"),
        ("number", math.inf, "expected a finite number, got inf"),
        ("text", 5, "expected a text, got 5"),
        ("text", {}, "expected a text, got a table"),
        ("colour", "green", 'expected one of "red", "blue", got "green"'),
        ("colour", "bleu", 'expected one of "red", "blue", got "bleu"; did you mean blue?'),
        ("mode", "offf", 'expected one of "on", "off", got "offf"; did you mean off?'),
        ("mode", ["on"], 'expected one of "on", "off", got a list'),
        ("mode", True, 'expected one of "on", "off", got true'),
        ("maybe", "3", 'expected an integer, got "3"'),
        ("texts", "a", 'expected a list, got "a"'),
        ("port", 0, "expected a value from 1 to 65,535, got 0"),
        ("port", 65536, "expected a value from 1 to 65,535, got 65536"),
        ("port", "80", 'expected an integer, got "80"'),
        ("share", 0.6, "expected a value from 0 to 0.5, got 0.6"),
        ("inner", 5, "expected a table, got 5"),
        ("inners", {}, "expected a list, got a table"),
        ("named", [], "expected a table, got a list"),
        ("wait", "10", f'{DURATION}, got "10"'),
        ("wait", "10 weeks", f'{DURATION}, got "10 weeks"'),
        ("wait", "-1s", f'{DURATION}, got "-1s"'),
        ("wait", -1, f"{DURATION}, got -1"),
        ("wait", True, f"{DURATION}, got true"),
        ("wait", math.nan, f"{DURATION}, got nan"),
        ("wait", math.inf, f"{DURATION}, got inf"),
        ("wait", [], f"{DURATION}, got a list"),
        ("room", "64KB", f'{SIZE}, got "64KB"'),
        ("room", -1, f"{SIZE}, got -1"),
        ("room", math.inf, f"{SIZE}, got inf"),
    ],
)
def test_a_wrong_value_is_told_what_is_expected(key: str, raw: object, message: str) -> None:
    """And what was found, as it would be written."""
    assert fault_of({key: raw}) == message


@pytest.mark.parametrize("key", ["number", "wait", "room", "share"])
@pytest.mark.parametrize("raw", [10**400, "9" * 400])
def test_a_number_that_no_float_can_hold_is_refused(key: str, raw: object) -> None:
    """It does not raise."""
    assert fault_of({key: raw}).startswith("expected ")


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ({"texts": ["a", 5, "b"]}, ("texts", 1)),
        ({"inner": {"needed": "x"}}, ("inner", "needed")),
        ({"inner": {}}, ("inner", "needed")),
        ({"inners": [{"needed": 1}, {}]}, ("inners", 1, "needed")),
        ({"named": {"a b": {"needed": 1, "low": "x"}}}, ("named", "a b", "low")),
        ({"inner": {"needed": 13}}, ("inner",)),
        ({"inner": {"needed": 1, "low": 2.0}}, ("inner", "low")),
    ],
)
def test_a_fault_has_the_path_of_what_is_wrong(table: dict[str, Any], path: Path) -> None:
    """However deep."""
    _, faults = read(table)
    assert list(faults) == [path]


def test_what_is_missing_and_needed_is_a_fault() -> None:
    """Told at the key that should be there."""
    _, faults = read({"inner": {"low": 0.5}})
    assert faults == {("inner", "needed"): "is missing and has no default"}


# -- unknown keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "near"),
    [("colr", "colour"), ("prot", "port"), ("Text", "text"), ("inner_", "inner")],
)
def test_an_unknown_key_is_told_the_nearest_known_one(key: str, near: str) -> None:
    """Most are misspelt."""
    assert fault_of({key: 1}) == f"unknown key; did you mean {near}?"


def test_a_key_near_to_none_is_told_them_all() -> None:
    """In alphabetical order."""
    assert unknown_key("zzz", ["b", "a"]) == "unknown key; known are a, b"


def test_an_unknown_key_does_not_hide_what_the_fields_cannot_know() -> None:
    """Both are told at once; so is a contradiction beside a wrong value."""
    _, faults = read({"inner": {"needed": 1, "low": 2.0, "lwo": 1}})
    assert set(faults) == {("inner", "low"), ("inner", "lwo")}
    _, faults = read({"inner": {"needed": 1, "low": 2.0, "high": "x"}})
    assert set(faults) == {("inner", "low"), ("inner", "high")}


def test_a_wrong_value_is_told_once() -> None:
    """Not again for the default that stands in for it."""

    @dataclass(frozen=True)
    class Odd:
        number: int = 1

        def faults(self) -> Iterator[tuple[str, str]]:
            yield "number", "is odd"

    _, faults = read({"number": "x"}, Odd)
    assert faults == {("number",): 'expected an integer, got "x"'}


# -- every fault -----------------------------------------------------------------------------------

WRONG: dict[str, list[object]] = {
    "flag": [1, "x"],
    "count": [1.5, True],
    "number": ["x", math.nan],
    "text": [1, []],
    "colour": ["green", 1],
    "mode": ["x", None],
    "maybe": ["x"],
    "texts": [[1], "x"],
    "wait": ["x", -1],
    "room": ["x"],
    "port": [0, "x"],
    "inner": [{}, 1, {"needed": 1, "other": 2}],
    "inners": [[{}], 1],
    "named": [{"a": {}}, 1],
    "unknown": [1],
    "texxt": ["x"],
}
RIGHT: dict[str, list[object]] = {
    "flag": [True],
    "count": [5],
    "number": [1.5, 1],
    "text": ["x"],
    "colour": ["blue"],
    "texts": [["x"], []],
    "wait": ["1s"],
    "inner": [{"needed": 1}],
    "named": [{"a": {"needed": 1}}],
}


@given(st.data())
def test_every_fault_is_told_and_no_other(data: st.DataObject) -> None:
    """Whatever else is right or wrong beside it."""
    table: dict[str, Any] = {}
    wrong = data.draw(st.sets(st.sampled_from(list(WRONG))))
    for key in wrong:
        table[key] = data.draw(st.sampled_from(WRONG[key]))
    for key in data.draw(st.sets(st.sampled_from(list(RIGHT)))) - wrong:
        table[key] = data.draw(st.sampled_from(RIGHT[key]))
    built, faults = read(table)
    assert {path[0] for path in faults} == wrong
    assert (built is None) is bool(wrong)


toml = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*WRONG]) | st.text(max_size=5), toml, max_size=6))
def test_no_table_raises(table: dict[str, Any]) -> None:
    """It is built, or its faults are told, each within what it holds."""
    _, faults = read(table)
    assert all(path[0] in table for path in faults)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (True, "true"),
        (False, "false"),
        ("x", '"x"'),
        ({"a": 1}, "a table"),
        ([1], "a list"),
        (1.5, "1.5"),
        (7, "7"),
    ],
)
def test_values_are_shown_as_they_are_written(raw: object, shown: str) -> None:
    """In TOML, not in Python."""
    assert show(raw) == shown
