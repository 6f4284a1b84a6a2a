"""The configuration of a hub: every fault is named with its line and its mend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensord.errors import ConfigError
from sensord.hub.options import Hub, is_hub, load

GOOD = '[hub]\nservers = ["nats://127.0.0.1:4222"]\n'


def loaded(tmp_path: Path, text: str) -> str:
    file = tmp_path / "hub.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(file)
    return str(raised.value)


def test_a_hub_needs_servers_and_nothing_else(tmp_path: Path) -> None:
    """All else has a default."""
    file = tmp_path / "hub.toml"
    file.write_text(GOOD)
    config = load(file)
    assert config.hub == Hub(servers=("nats://127.0.0.1:4222",))
    assert config.server.listen == ("127.0.0.1:8765",)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 0, "hub: is missing"),
        ("[hub]\n", 1, "hub.servers: is missing"),
        ('[hub]\nservers = ["http://h"]\n', 2, "expected an address"),
        (GOOD + 'streams = "plain"\n', 3, "one asterisk"),
        (GOOD + 'streams = "a*b*"\n', 3, "one asterisk"),
        (GOOD + "ring = 1\n", 3, "hub.ring"),
        (GOOD + 'user = "u"\n', 3, "both or neither"),
        (GOOD + "[devices.x]\n", 3, "devices: unknown key"),
        (GOOD + "[server]\nlisten = ['0.0.0.0:1']\n", 4, "server.listen"),
        ("[hub\n", 0, "is not TOML"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    """As in the configuration of a daemon."""
    found = loaded(tmp_path, text)
    assert why in found
    if line:
        assert f"hub.toml:{line}" in found


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("pattern", "stream", "gateway"),
    [
        ("sensord_*", "sensord_north", "north"),
        ("sensord_*", "other", None),
        ("sensord_*", "sensord_", None),
        ("*_log", "north_log", "north"),
    ],
)
def test_the_asterisk_stands_for_the_gateway(
    pattern: str, stream: str, gateway: str | None
) -> None:
    """Other streams of the servers are left alone."""
    assert Hub(streams=pattern).gateway_of(stream) == gateway


def test_a_hub_is_known_by_its_table(tmp_path: Path) -> None:
    """`sensord check` is one command for both."""
    for text, expected in ((GOOD, True), ("[devices.x]", False), ("[hub", False)):
        file = tmp_path / "c.toml"
        file.write_text(text)
        assert is_hub(file) is expected
    assert not is_hub(tmp_path / "none.toml")


def test_a_fifo_is_no_configuration(tmp_path: Path) -> None:
    """Whether it is a hub's is looked at before anything else: that waited for a writer."""
    os.mkfifo(tmp_path / "hub.toml")
    assert not is_hub(tmp_path / "hub.toml")
    with pytest.raises(ConfigError, match="not a regular file"):
        load(tmp_path / "hub.toml")
