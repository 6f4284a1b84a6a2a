"""The command `ports`."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from serial.tools.list_ports_common import ListPortInfo

from sensord.cli import ports


def adapter(device: Path, description: str) -> ListPortInfo:
    found = ListPortInfo(str(device))
    found.description = description
    return found


def test_a_port_is_listed_by_the_path_that_survives_a_replug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One without such a path stands under its own; they are sorted."""
    usb, other = tmp_path / "ttyUSB0", tmp_path / "ttyS0"
    usb.touch()
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    (by_id / "usb-FTDI_A1").symlink_to(usb)
    found = [adapter(usb.resolve(), "an adapter"), adapter(other, "on the board")]
    monkeypatch.setattr(ports, "BY_ID", by_id)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)
    assert ports.run(argparse.Namespace()) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(other),
        f"    {other}: on the board",
        str(by_id / "usb-FTDI_A1"),
        f"    {usb.resolve()}: an adapter",
    ]


def test_a_machine_without_ports_says_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is not there is no error."""
    monkeypatch.setattr(ports, "BY_ID", tmp_path / "none")
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    assert ports.run(argparse.Namespace()) == 0
    assert "is the adapter plugged in?" in capsys.readouterr().out
