"""The template is a reader like any other, and says how to become one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.config.schema import Faults, structure
from sensord.readers import template
from sensord.readers.template import Config, Write


def test_its_options_are_checked() -> None:
    """Each fault names its key."""
    faults = Faults()
    assert structure(Config, {"port": 5005}, (), faults) == Config(5005)
    assert structure(Config, {"port": 0, "host": ""}, (), faults) is None
    assert structure(Config, {"port": 1, "host": ""}, (), faults) is None
    assert {path for path, _ in faults.found} == {("port",), ("host",)}


def test_its_commands_are_checked() -> None:
    """The address, and the places in the text."""
    faults = Faults()
    assert structure(Write, {"payload": "x", "send_to": "here"}, (), faults) is None
    assert [path for path, _ in faults.found] == [("send_to",)]
    assert dict(Write("SET {value:.1f}").texts()) == {"payload": "SET {value:.1f}"}
    assert Write("SET {value:.1f}").message({"value": 2}) == b"SET 2.0"


@pytest.mark.parametrize(
    "path",
    ["sensord/readers/registry.py", "docs/readers.md", "tests/integration/readers", "tests/kit"],
)
def test_the_places_it_names_are_there(path: str) -> None:
    """Somebody who follows the steps finds each of them."""
    root = Path(template.__file__).parents[2]
    assert template.__doc__ is not None
    assert path in template.__doc__
    assert (root / path).exists()
