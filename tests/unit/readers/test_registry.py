"""Which readers there are, by name."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from sensord.readers import registry


@pytest.mark.parametrize("name", ["mqtt", "serial", "simulated"])
def test_a_reader_is_found_by_its_name(name: str) -> None:
    """It brings its options, which do not use the names that every device has."""
    found = registry.find(name)
    assert found is not None
    assert name in registry.names()
    options = {field.name for field in dataclasses.fields(found.config)}
    assert not options & {"reader", "topic", "decoder", "publish", "channels", "description"}


def test_an_unknown_name_is_not_found() -> None:
    """The configuration says so to the operator."""
    assert registry.find("modem") is None


def test_a_gateway_without_mqtt_loads_no_mqtt() -> None:
    """Modules are imported when a configuration first names them."""
    script = (
        "import sys; from sensord.readers import registry; registry.find('simulated')\n"
        "print([name for name in sys.modules if name.startswith(('paho', 'serial'))])"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
