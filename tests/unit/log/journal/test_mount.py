"""Nothing is written beneath a mount point that is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.errors import JournalError
from sensord.log.journal import Options, Writer
from sensord.log.journal.mount import missing_mount, mount_of


def table(folder: Path, *lines: str) -> Path:
    path = folder / "fstab"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_folder_below_a_mount_point_has_it() -> None:
    """Whether the folder is there or not; the root does not count."""
    assert mount_of(Path("/proc/self/nothing")) == Path("/proc")
    assert mount_of(Path("/nothing/at/all")) is None


def test_a_place_without_its_mount_is_found(tmp_path: Path) -> None:
    """At the folder or above it; what lies elsewhere does not matter."""
    place = tmp_path / "a card"
    place.mkdir()
    escaped = str(place).replace(" ", r"\040")
    told = table(tmp_path, "# a comment", f"/dev/sda1 {escaped} ext4 nofail 0 2")
    assert missing_mount(place / "journal", told) == place
    assert missing_mount(place, told) == place
    assert missing_mount(tmp_path / "other", told) is None


@pytest.mark.parametrize(
    "line", ["", "# /dev/sda1 /proc", "one", "proc /proc proc", "none none swap sw"]
)
def test_what_is_mounted_or_no_place_is_not_missing(tmp_path: Path, line: str) -> None:
    """Nor is a table that is not there a reason to wait."""
    assert missing_mount(Path("/proc/journal"), table(tmp_path, line)) is None
    assert missing_mount(tmp_path, tmp_path / "none") is None


def test_a_journal_is_not_begun_beneath_a_mount_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder stays as it is, and the reason names the place."""
    place = tmp_path / "card"
    place.mkdir()
    monkeypatch.setattr("sensord.log.journal.mount.FSTAB", table(tmp_path, f"x {place} ext4"))
    with pytest.raises(JournalError, match=f"nothing is mounted at {place}"):
        Writer(Options(folder=str(place / "journal"))).open(0, 0)
    assert list(place.iterdir()) == []
