"""Only regular files are read, whatever an operator names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensord.host import files
from sensord.host.files import check_regular, read_text


def test_a_text_is_read(tmp_path: Path) -> None:
    """With its line ends as one."""
    file = tmp_path / "a"
    file.write_bytes("\ufeffä\r\nb".encode())
    assert read_text(file, "utf-8-sig") == "ä\nb"
    check_regular(file)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_anything_but_a_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """Reading a fifo waits for a writer, and `/dev/zero` has no end."""
    file = tmp_path / "a"
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case _:
            file.symlink_to("/dev/zero")
    for look in (read_text, check_regular):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            look(file)


def test_a_file_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would fill the memory."""
    monkeypatch.setattr(files, "MOST_CHARACTERS", 10)
    (tmp_path / "a").write_text("x" * 11)
    with pytest.raises(OSError, match="File too large"):
        read_text(tmp_path / "a")
