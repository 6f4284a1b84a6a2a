"""Each key is found on its line, as the reader of the values sees the keys."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.lines import Lines
from sensord.config.schema import Path


def line_of(text: str, *path: str | int) -> int:
    return Lines(text).of(path)


def test_keys_and_tables_have_their_own_lines() -> None:
    """Counted from 1, through comments and blank lines."""
    text = "# first\n\nname = 1\n[server]\n# note\nlisten = []\n\n[devices.boiler]\n  port = 2\n"
    assert line_of(text) == 1
    assert line_of(text, "name") == 3
    assert line_of(text, "server") == 4
    assert line_of(text, "server", "listen") == 6
    assert line_of(text, "devices", "boiler") == 8
    assert line_of(text, "devices", "boiler", "port") == 9


def test_what_is_missing_stands_where_it_would_belong() -> None:
    """A key that has a default, or an item of a list, is told at what holds it."""
    text = "\n[server]\nlisten = [\n 1,\n 2]\n"
    assert line_of(text, "server", "outbox") == 2
    assert line_of(text, "server", "listen", 1) == 3
    assert line_of(text, "log", "ring") == 1


def test_a_table_above_is_where_it_is_first_mentioned() -> None:
    """A misspelt table is found though only tables below it were written."""
    text = "a = 1\n\n[device.boiler.channels.t]\n[device.boiler]\n[[uplinks]]\n[[uplinks]]\n"
    assert line_of(text, "device") == 3
    assert line_of(text, "device", "boiler", "channels") == 3
    assert line_of(text, "uplinks") == 5
    assert line_of(text, "uplinks", 0) == 5
    assert line_of(text, "uplinks", 1) == 6


def test_dotted_keys_name_each_of_their_tables() -> None:
    """The first mention counts."""
    text = "[a]\nb.c = 1\nb.d.'e f' = 2\n"
    assert line_of(text, "a", "b") == 2
    assert line_of(text, "a", "b", "c") == 2
    assert line_of(text, "a", "b", "d", "e f") == 3


def test_tables_in_arrays_are_counted() -> None:
    """Each with the tables below it."""
    text = "[[a]]\n[[a.b]]\nx = 1\n[[a.b]]\n[a.b.c]\n[[a]]\n[[a.b]]\nx = 2\n"
    assert [line_of(text, "a", i) for i in (0, 1)] == [1, 6]
    assert line_of(text, "a", 0, "b", 1, "c") == 5
    assert line_of(text, "a", 1, "b", 0, "x") == 8


@pytest.mark.parametrize(
    "value",
    [
        '"# [ { \\" = "',
        "'# [ { \\'",
        '"""\na = 1\n[b]\n"quoted" \\\n # """',
        '"""ends with quotes"""""',
        "'''\na = 1\n''[b]\n'''''",
        '[ # ] \n "]", [\n1], # "\n ]',
        "{ a = { b = '}' }, c = [1, 2] }",
        "1979-05-27 07:32:00",
        '""',
        "''''''",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", " # note [\n"])
def test_no_value_hides_the_key_after_it(value: str, end: str) -> None:
    """Brackets, quotes, comments and line breaks inside it are its own."""
    text = f"first = {value}{end}second = 2{end}"
    assert set(tomllib.loads(text)) == {"first", "second"}
    assert line_of(text, "first") == 1
    assert line_of(text, "second") == 2 + value.count("\n")


def test_the_last_value_needs_no_line_break() -> None:
    """Nor does a comment."""
    assert line_of("a = 1\nb = [1]", "b") == 2
    assert line_of("a = 1\n# end", "a") == 1
    assert line_of("", "a") == 1


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ('"a b"', "a b"),
        ("'a.b'", "a.b"),
        (r'"say \"x\""', 'say "x"'),
        (r'"\u00e9"', "é"),
        ("''", ""),
        ('"#["', "#["),
        ("-_9", "-_9"),
    ],
)
def test_a_quoted_key_is_found_by_what_it_means(written: str, key: str) -> None:
    """As a value, as a table, and in the middle of a dotted key."""
    assert line_of(f"\n{written} = 1\n", key) == 2
    assert line_of(f"\n[ {written} . x ]\n", key, "x") == 2
    assert line_of(f"\na . {written}.b = 1\n", "a", key, "b") == 2


# -- any text --------------------------------------------------------------------------------------

keys = st.sampled_from(["a", "b", "c-1", "x y", "d.e", 'q"', "é", "[z]", "#", "", "'"])
texts = st.sampled_from(
    ["", "plain", '"', "'", "[", "]]", "# no", "a = 1", "{", "\\", "two\nlines"]
)
scalars = st.integers(-9, 99) | st.booleans() | texts
inline = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=5,
)
tables = st.recursive(
    st.dictionaries(keys, inline, max_size=3),
    lambda inner: st.dictionaries(
        keys, inner | inline | st.lists(inner, min_size=1, max_size=3), max_size=4
    ),
    max_leaves=8,
)


class Writer:
    """Writes TOML in varying styles, and notes the line of each path as it goes."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.lines: list[str] = []
        self.expected: dict[Path, int] = {}

    def _flip(self) -> bool:
        return self._dice.random() < 0.5

    def table(self, path: Path, names: list[str], table: dict[str, Any]) -> None:
        """Write a table's own keys, then the tables below it."""
        below: list[tuple[str, Any]] = []
        for key, value in table.items():
            if self._is_table(value) or self._is_array_of_tables(value):
                if self._flip():
                    below.append((key, value))
                    continue
                if isinstance(value, dict) and value and self._flip():
                    self._dotted((*path, key), [self._key(key)], value)
                    continue
            self._pair((*path, key), self._key(key), value)
        for key, value in below:
            here, written = (*path, key), [*names, self._key(key)]
            if isinstance(value, dict):
                self._header(here, written, value)
                continue
            for i, item in enumerate(value):
                self._line(f"[[{'.'.join(written)}]]", here, (*here, i))
                self._above(here, len(self.lines))
                self.table((*here, i), written, item)

    def _header(self, path: Path, written: list[str], table: Any) -> None:
        # A table with nothing but tables below it needs no header of its own.
        is_bare = table and all(self._is_table(v) and v for v in table.values())
        if is_bare and self._flip():
            for key, value in table.items():
                self._header((*path, key), [*written, self._key(key)], value)
            return
        self._line(f" [ {' . '.join(written)} ] ", path)
        self._above(path, len(self.lines))
        self.table(path, written, table)

    def _above(self, path: Path, at: int) -> None:
        for end in range(1, len(path)):
            self.expected.setdefault(path[:end], at)

    def _dotted(self, path: Path, written: list[str], table: dict[str, Any]) -> None:
        for key, value in table.items():
            here, names = (*path, key), [*written, self._key(key)]
            if isinstance(value, dict) and value:
                self._dotted(here, names, value)
            else:
                at = self._pair(here, ".".join(names), value)
                self._above(here, at)

    def _pair(self, path: Path, written: str, value: Any) -> int:
        text = self._value(value)
        self._line(f"{written} = {text}", path)
        at = len(self.lines)
        self._hold(path, value, at)
        self.lines[-1:] = self.lines[-1].split("\n")
        return at

    def _hold(self, path: Path, value: Any, at: int) -> None:
        """What is inside a value is told at its key."""
        for key, item in within(value):
            self.expected[(*path, key)] = at
            self._hold((*path, key), item, at)

    def _line(self, text: str, *paths: Path) -> None:
        while self._dice.random() < 0.2:
            self.lines.append(self._dice.choice(["", "# a = [", "\t", "  # 'x"]))
        note = self._dice.choice(["", "", " # note", "  "])
        self.lines.append(text + note)
        for path in paths:
            self.expected.setdefault(path, len(self.lines))

    def _key(self, key: str) -> str:
        styles = [json.dumps(key, ensure_ascii=self._flip())]
        if "'" not in key:
            styles.append(f"'{key}'")
        if key.isascii() and key.replace("-", "").isalnum():
            styles.append(key)
        return self._dice.choice(styles)

    def _value(self, value: Any) -> str:
        match value:
            case bool():
                return "true" if value else "false"
            case str():
                if self._flip():
                    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
                    return f'"""\n{escaped}"""'
                return json.dumps(value)
            case list():
                between = self._dice.choice([", ", ",\n  ", ", # ]\n"])
                end = self._dice.choice(["", "\n"])
                return f"[{between.join(self._value(item) for item in value)}{end}]"
            case dict():
                pairs = [f"{self._key(k)} = {self._inline(v)}" for k, v in value.items()]
                return f"{{ {', '.join(pairs)} }}"
            case _:
                return str(value)

    def _inline(self, value: Any) -> str:
        # An inline table is one line, but for what its values hold.
        return self._value(value)

    @staticmethod
    def _is_table(value: Any) -> bool:
        return isinstance(value, dict)

    @staticmethod
    def _is_array_of_tables(value: Any) -> bool:
        is_list = isinstance(value, list) and bool(value)
        return is_list and all(isinstance(item, dict) for item in value)


def within(value: Any) -> Iterable[tuple[str | int, Any]]:
    """Return what a table or a list holds, by key."""
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def paths(value: Any, path: Path = ()) -> list[Path]:
    found = [path] if path else []
    for key, item in within(value):
        found += paths(item, (*path, key))
    return found


@given(st.integers(0, 2**32), tables, st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_any_text_is_found_on_its_line(
    seed: int, table: dict[str, Any], end: str
) -> None:
    """Whatever the style in which it was written."""
    writer = Writer(seed)
    writer.table((), [], table)
    text = end.join(writer.lines) + end
    assert tomllib.loads(text) == table, "the writer writes what it was given"
    lines = Lines(text)
    assert {path: lines.of(path) for path in paths(table)} == {
        path: writer.expected[path] for path in paths(table)
    }
