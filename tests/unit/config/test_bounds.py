"""No size, duration or count of a configuration is accepted beyond what the daemon can bear."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import typing
from collections.abc import Iterator
from typing import Annotated, Any

import pytest

import sensord
from sensord.config.build import build
from sensord.config.command_options import Action
from sensord.config.schema import Faults, as_duration, as_size
from sensord.config.schema import structure as read
from sensord.decode import registry as decoders
from sensord.log.journal import Options
from sensord.readers import registry as readers

FREE = {"seed"}
"""Any integer does."""


SIGNED = {"at", "start", "stop", "add"}
"""Offsets in a message: negative ones count from its end."""


def config_classes() -> Iterator[type[Any]]:
    """Yield every dataclass whose annotations are a schema."""
    for module in pkgutil.walk_packages(sensord.__path__, "sensord."):
        if module.name.startswith(("sensord.config", "sensord.readers", "sensord.decode")):
            for found in vars(importlib.import_module(module.name)).values():
                if dataclasses.is_dataclass(found) and hasattr(found, "faults"):
                    yield typing.cast("type[Any]", found)
    yield Options


def amounts() -> list[tuple[type[Any], str]]:
    """Return the class and name of each field that is a count, a size or a duration."""
    found = {
        (cls, name)
        for cls in config_classes()
        for name, hint in typing.get_type_hints(cls, include_extras=True).items()
        if name not in FREE and _is_amount(hint)
    }
    return sorted(found, key=lambda one: (one[0].__module__, one[0].__name__, one[1]))


def _is_amount(hint: Any) -> bool:
    if hint is int:
        return True
    if typing.get_origin(hint) is Annotated:
        inner, *notes = typing.get_args(hint)
        is_duration_or_size = any("_Unit" in type(note).__name__ for note in notes)
        return inner is int or (inner is float and is_duration_or_size)
    return any(_is_amount(one) for one in typing.get_args(hint) if one is not type(None))


@pytest.mark.parametrize(("cls", "name"), amounts())
@pytest.mark.parametrize("raw", [-1, 10**18, 10**400])
def test_a_count_size_or_duration_has_bounds(cls: type[Any], name: str, raw: int) -> None:
    """A million million million of anything is a slip."""
    if raw == -1 and name in SIGNED:
        raw = -(10**18)  # an offset may count from the end
    faults = Faults()
    read(cls, {name: raw}, (), faults)
    assert any(path[:1] == (name,) for path, _ in faults.found)


@pytest.mark.parametrize(
    ("table", "key", "raw"),
    [
        ("server", "outbox", "1000GiB"),
        ("server", "outbox", 0),
        ("server", "lag_timeout", 0),
        ("clients", "inbox_bytes", 0),
        ("clients", "inbox_age", 0),
        ("clients", "grace", "365d"),
        ("control", "remember", 0),
        ("control", "longest_lease", "10ms"),
        ("journal", "max_age", 0),
        ("journal", "max_bytes", "1MiB"),
        ("journal", "segment_bytes", 0),
        ("journal", "segment_age", 0),
        ("journal", "commit_interval", "1us"),
        ("journal", "min_free", "1000000GiB"),
    ],
)
def test_nonsense_is_refused_with_the_bounds(table: str, key: str, raw: object) -> None:
    """Instead of a traceback at the start, or a journal that keeps nothing."""
    faults = Faults()
    assert build({table: {key: raw}}, faults, readers, decoders) is None
    (((at, name), message),) = faults.found
    assert (at, name) == (table, key)
    assert message.startswith(("expected a size from", "expected a duration from"))


def test_bounds_are_shown_as_a_configuration_has_them() -> None:
    """So that one can be copied."""
    assert [as_duration(one) for one in (0.05, 1, 90, 3600, 86_400, 65_535, 0)] == [
        '"50ms"', '"1s"', '"90s"', '"1h"', '"1d"', '"65535s"', "0",
    ]  # fmt: skip
    assert [as_size(one) for one in (1, 1536, 2**20, 2**30)] == [
        '"1B"', '"1536B"', '"1MiB"', '"1GiB"',
    ]  # fmt: skip


def test_an_action_keeps_its_own_bounds() -> None:
    """A range of a duration is checked in its unit."""
    faults = Faults()
    read(Action, {"timeout": "2h"}, (), faults)
    assert faults.found == [(("timeout",), 'expected a duration from "10ms" to "1h", got "2h"')]
