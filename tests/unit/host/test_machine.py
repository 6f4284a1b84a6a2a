"""What the machine knows of its boot and its clock."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from sensord.host.machine import (
    boot_id,
    has_hardware_clock,
    is_synchronised,
    is_to_be_synchronised,
)


def test_the_kernel_is_asked_first() -> None:
    """It knows, whoever synchronises it."""
    found, source = is_synchronised()
    assert source in {"kernel", "systemd-timesyncd", ""}
    assert (found is None) == (source == "")


def test_without_the_system_call_timesyncd_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardened service may not make it."""

    class Forbidden:
        @staticmethod
        def adjtimex(_buffer: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Forbidden())
    assert is_synchronised(tmp_path / "none") == (None, "")
    assert is_synchronised(tmp_path) == (False, "systemd-timesyncd")
    (tmp_path / "synchronized").touch()
    assert is_synchronised(tmp_path) == (True, "systemd-timesyncd")


def test_a_boot_has_one_id() -> None:
    """The kernel gives it."""
    assert boot_id() == boot_id()
    assert len(boot_id()) == 32


def test_where_the_kernel_is_hidden_the_unit_names_the_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd writes it without hyphens, too."""
    monkeypatch.setenv("SENSORD_BOOT_ID", boot_id())
    assert boot_id(tmp_path / "none") == boot_id()


def test_without_the_kernel_each_process_is_a_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is taken for the same clock."""
    monkeypatch.delenv("SENSORD_BOOT_ID", raising=False)
    assert boot_id(tmp_path / "none") != boot_id(tmp_path / "none")


def test_a_hardware_clock_counts_if_it_set_the_time(tmp_path: Path) -> None:
    """One that nobody read says nothing of the system's clock."""
    assert not has_hardware_clock(tmp_path)
    (tmp_path / "rtc0").mkdir()
    assert not has_hardware_clock(tmp_path)
    (tmp_path / "rtc0" / "hctosys").write_text("0\n")
    assert not has_hardware_clock(tmp_path)
    (tmp_path / "rtc0" / "hctosys").write_text("1\n")
    assert has_hardware_clock(tmp_path)


def test_a_daemon_that_sets_clocks_shows_that_it_runs(tmp_path: Path) -> None:
    """By a file."""
    daemons = (tmp_path / "one.pid", tmp_path / "two")
    assert not is_to_be_synchronised(daemons)
    (tmp_path / "two").mkdir()
    assert is_to_be_synchronised(daemons)
