"""`sensord history` on files, without a daemon."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sensord.cli import main
from tests.kit.journal import killed_journal


def written(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("time,topic,value\n" + "".join(f"{row}\n" for row in rows))
    return path


ROWS = [f"{1796068800 + 30 * n},plant/t,{n}.5" for n in range(4)]


def test_the_past_of_a_file_is_shown_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of it, a part of its time, or as rows for a spreadsheet."""
    path = written(tmp_path, "x.csv", *ROWS)
    assert main(["history", str(path), "--json"]) == 0
    found = [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()]
    assert found == [0.5, 1.5, 2.5, 3.5]
    assert main(["history", "--file", str(path), "plant/#", "--from", "-30s", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["value"] for row in rows] == ["2.5", "3.5"]
    assert main(["history", str(path), "--limit", "3"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 3
    assert "continue with --from 3" in shown.err


def test_the_summaries_of_files_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that follow each other share an interval, whatever number a topic has in each."""
    first = written(tmp_path, "a.csv", *ROWS[:1])
    second = written(tmp_path, "b.csv", f"{1796068810},plant/a,9", *ROWS[1:])
    assert main(["history", str(second), str(first), "--interval", "1m", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    told = [(row["topic"], row["count"], row["first"], row["last"], row["mean"]) for row in rows]
    assert told == [
        ("plant/t", "2", "0.5", "1.5", "1.0"),
        ("plant/a", "1", "9", "9", "9.0"),
        ("plant/t", "2", "2.5", "3.5", "3.0"),
    ]


def test_the_past_of_a_journal_is_shown_without_a_daemon(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many readings as an export has."""
    folder = killed_journal(tmp_path).folder
    assert main(["export", str(folder), "--format", "jsonl"]) == 0
    count = len(capsys.readouterr().out.splitlines())
    assert main(["history", str(folder), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == count > 0
    assert main(["history", str(folder), "--json", "--interval", "1h"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 0 < sum(row["count"] for row in rows) <= count


def test_what_cannot_be_shown_of_a_file_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged line, a topic that is none, an end that does not come."""
    path = written(tmp_path, "x.csv", ROWS[0], "what,is", ROWS[1])
    assert main(["history", str(path)]) == 1
    shown = capsys.readouterr()
    assert "line 3: expected 3 fields, found 2" in shown.err
    assert len(shown.out.splitlines()) == 2
    assert main(["history", str(path), "plant/x"]) == 1
    assert "plant/x: no such topic" in capsys.readouterr().err
    assert main(["history", str(path), "--follow"]) == 2
    assert "a file has an end" in capsys.readouterr().err
