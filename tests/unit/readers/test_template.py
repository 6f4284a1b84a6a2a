"""The template is a reader like any other, and says how to become one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.config.schema import Faults, structure
from sensord.readers import template
from sensord.readers.template import Config


def test_its_options_are_checked() -> None:
    """Each fault names its key."""
    faults = Faults()
    assert structure(Config, {"port": 5005}, (), faults) == Config(5005)
    assert structure(Config, {"port": 0, "host": ""}, (), faults) is None
    assert structure(Config, {"port": 1, "host": ""}, (), faults) is None
    assert {path for path, _ in faults.found} == {("port",), ("host",)}


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
