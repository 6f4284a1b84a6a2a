"""What `sensord check` says besides the faults."""

from __future__ import annotations

import pytest

from sensord.cli.check import journal_line, share_line
from sensord.log.journal import Options

HOME = {"HOME": "/home/pi"}
SERVICE = " (as a systemd service in /var/lib/sensord/journal)"


@pytest.mark.parametrize(
    ("folder", "environment", "is_root", "said"),
    [
        ("", HOME, False, f"/home/pi/.local/state/sensord/journal{SERVICE}"),
        ("", HOME | {"XDG_STATE_HOME": "/state"}, False, f"/state/sensord/journal{SERVICE}"),
        ("", HOME, True, "/var/lib/sensord/journal"),
        ("", HOME | {"STATE_DIRECTORY": "/var/lib/other"}, False, "/var/lib/other/journal"),
        ("/mnt/usb", HOME, False, "/mnt/usb"),
    ],
)
def test_whoever_checks_learns_where_the_service_will_record(
    folder: str, environment: dict[str, str], is_root: bool, said: str
) -> None:
    """Which is not always where a daemon of that user would."""
    line = journal_line(Options(folder=folder), environment, is_root=is_root)
    assert line.startswith(f"records in {said}, at most 2 GiB and 30 days\n")


def test_a_daemon_that_does_not_record_says_so() -> None:
    """And names no folder."""
    assert journal_line(Options(enabled=False), HOME, is_root=False) == "does not record"


def test_whoever_checks_learns_for_how_long_readings_are_kept() -> None:
    """By bytes or by age, whatever ends it at that rate."""
    line = journal_line(Options(max_bytes=2_937_600_000), HOME, is_root=False)
    assert "days kept at 1 / 10 / 100 / 1000 readings/s of numbers: 30 / 30 / 10 / 1\n" in line


def test_whoever_checks_learns_how_much_clients_may_write() -> None:
    """A control loop that is refused hours later, after its burst, is planned here."""
    first, second = share_line(Options(), 25).splitlines()
    assert first == (
        "clients may write 16 MiB at once, then 201 bytes/s and 10 for each reading of a device"
    )
    assert second.endswith("beside 1 / 10 / 100 / 1000 readings/s: 0.96 / 1.4 / 5.5 / 46")
