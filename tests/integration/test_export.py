"""The commands `info` and `export`, as somebody runs them."""

from __future__ import annotations

import csv
import importlib
import json
import os
import re
import signal
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sensord.cli.export import bound_of
from sensord.client import Client
from sensord.log.journal import Batch
from sensord.recordings import EVERYTHING, Selection, open_recording
from sensord.recordings.mcap_output import McapOutput
from sensord.recordings.text_rows import COLUMNS, Row, read_csv, read_json_lines
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower
from tests.kit.journal import START_US, channels, killed_journal, open_writer, walk_readings


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sealed segments, an open one and a ring in use, as a kill leaves it."""
    return killed_journal(tmp_path_factory.mktemp("journal"), mixed=True).folder


def expected_rows(journal: Path, selection: Selection = EVERYTHING) -> list[Row]:
    found: list[Row] = []
    for item in open_recording(journal).scan(selection):
        for r in getattr(item, "records", list)():
            channel = r.channel
            found.append(Row(r.offset, r.log_us, channel.topic, channel.metadata.unit, r.reading))
    return found


def csv_rows(text: str) -> list[Row]:
    return list(read_csv(iter(text.splitlines(keepends=True))))


# -- export --------------------------------------------------------------------------------------


def test_a_journal_goes_to_the_standard_output_as_csv(journal: Path) -> None:
    """With every reading of the sealed segments, the open one and the ring, to the bit."""
    done = sensord("export", str(journal))
    assert (done.returncode, done.stderr) == (0, "")
    assert repr(csv_rows(done.stdout)) == repr(expected_rows(journal))


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_texts_go_through_an_mcap_file_unchanged(journal: Path, tmp_path: Path, form: str) -> None:
    """From the journal, and from what was exported of it, the same bytes."""
    direct, between, again = tmp_path / f"a.{form}", tmp_path / "b.mcap", tmp_path / f"c.{form}"
    for source, output in ((journal, direct), (journal, between), (between, again)):
        assert sensord("export", str(source), "-o", str(output)).returncode == 0
    assert direct.read_bytes() == again.read_bytes()
    with direct.open(newline="") as lines:
        rows = list((read_csv if form == "csv" else read_json_lines)(lines))
    assert repr(rows) == repr(expected_rows(journal))
    assert not list(tmp_path.glob(".*"))


def test_the_filters_narrow_what_is_written(journal: Path) -> None:
    """Topics, begin, end and number; times are those of the log."""
    rows = expected_rows(journal)
    start, stop = rows[1000], rows[3000]
    since = datetime.fromtimestamp(start.log_us / 1e6).astimezone().isoformat()
    arguments = ("--topic", "mixed/int", "--topic", "plant/+/device0/#", "--limit", "100")
    done = sensord("export", str(journal), *arguments, "--from", since, "--to", str(stop.offset))
    expected = [
        row
        for row in rows
        if row.log_us >= start.log_us
        and row.offset < stop.offset
        and re.match(r"mixed/int$|plant/.*/device0/", row.topic)
    ]
    assert repr(csv_rows(done.stdout)) == repr(expected[:100])


def test_minutes_are_counted_back_from_the_newest_reading(journal: Path) -> None:
    """So a recording of last year has its last minute too."""
    rows = expected_rows(journal)
    done = sensord("export", str(journal), "--from", "-1m", "--to=-30s")
    end_us = rows[-1].log_us
    expected = [r for r in rows if end_us - 60_000_000 <= r.log_us < end_us - 30_000_000]
    assert expected
    assert repr(csv_rows(done.stdout)) == repr(expected)


def test_bounds_are_offsets_or_times() -> None:
    """A time without a zone is local; digits alone are an offset."""
    assert bound_of(None, 5) == (None, None)
    assert bound_of("20261122", 5) == (20261122, None)
    assert bound_of("-1.5h", 10**10) == (None, 10**10 - 5_400_000_000)
    assert bound_of("1970-01-01T00:00:01.000001Z", 5) == (None, 1_000_001)
    local = datetime(2026, 11, 22, 17).astimezone().timestamp()
    assert bound_of("2026-11-22T17:00", 5) == (None, int(local) * 1_000_000)


def test_what_is_asked_for_wrongly_is_said(journal: Path, tmp_path: Path) -> None:
    """In one line, and nothing is written."""
    there = str(tmp_path / "x.csv")
    segment = min(journal.glob("*.mcap"))
    # It stands for /dev/full and its like, which a failing test run by root would replace.
    pipe = journal.parent / "pipe"
    os.mkfifo(pipe)
    asked: list[tuple[tuple[str, ...], str]] = [
        ((str(tmp_path / "missing"),), "missing: cannot be opened: No such file or directory"),
        ((str(tmp_path),), "there is no journal in this folder"),
        ((str(journal), "--topic", "a/#/b"), "a/#/b: # may only be the last level"),
        ((str(journal), "--from", "noon"), "noon: expected an offset, -10m"),
        ((str(journal), "--format", "mcap"), "mcap needs a file: -o FILE.mcap"),
        ((str(journal), "-o", str(journal / "x.csv")), "inside the journal's folder"),
        ((str(segment), "-o", str(segment)), "this is one of the sources"),
        ((str(journal), "-o", str(tmp_path)), "is a folder"),
        ((str(journal), "-o", str(pipe)), "not a file"),
        ((str(journal), "-o", str(tmp_path / "no" / "x.csv")), "x.csv: No such file or directory"),
        ((str(REPOSITORY / "README.md"), "-o", there), "is neither an MCAP file nor a journal"),
    ]
    before = segment.read_bytes()
    for arguments, text in asked:
        done = sensord("export", *arguments)
        is_usage = "may only be" in text or "needs a file" in text or "expected" in text
        assert done.returncode == (2 if is_usage else 1), arguments
        assert text in done.stderr
        assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
    assert segment.read_bytes() == before


def test_holes_are_told_and_strict_fails_on_them(journal: Path, tmp_path: Path) -> None:
    """The file is written all the same, with what there is."""
    first, _, third = map(str, sorted(journal.glob("*.mcap"))[:3])
    there = tmp_path / "x.csv"
    for arguments, status in (((), 0), (("--strict",), 1)):
        done = sensord("export", third, first, "-o", str(there), *arguments)
        assert done.returncode == status
        assert re.search(r"^hole: offsets \d+ to \d+ \(\d+\): in none of the files", done.stderr)
        assert len(csv_rows(there.read_text())) > 100
        there.unlink()
    assert sensord("export", first, "--strict").returncode == 0


def test_a_reader_of_the_output_may_go_away(journal: Path) -> None:
    """As `head` does; nothing is said."""
    command = f"{' '.join(SENSORD)} export {journal} | head -n 3"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, check=True, cwd=REPOSITORY, timeout=120
    )
    assert len(done.stdout.splitlines()) == 3
    assert not done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", ["csv", "mcap"])
def test_an_interrupt_leaves_nothing(
    journal: Path, tmp_path: Path, number: signal.Signals, form: str
) -> None:
    """Neither half a file under the name, nor one under another name; an old file stays."""
    source, there = tmp_path / "part.mcap", tmp_path / "out" / f"x.{form}"
    with McapOutput(source, "") as output:
        for item in open_recording(journal).scan(EVERYTHING):
            assert isinstance(item, Batch)
            output.add(item)
        output.complete()
    there.parent.mkdir()
    there.write_text("old")
    # It names no log, so it is read as often as it is given: long enough to be interrupted.
    command = [*SENSORD, "export", *[str(source)] * 60, "-o", str(there), "--force"]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while not list(there.parent.glob(".*.part")) and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(number)
        assert process.wait(60) == (130 if number is signal.SIGINT else 143)
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    assert there.read_text() == "old"


def test_parquet_has_a_row_for_each_reading(journal: Path, tmp_path: Path) -> None:
    """Numbers in one column; what no float64 holds, in another."""
    pytest.importorskip("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    done = sensord("export", str(journal), "-o", str(tmp_path / "x.parquet"))
    assert done.returncode == 0, done.stderr
    rows = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    expected = expected_rows(journal)
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        reading = wanted.reading
        assert row["offset"] == wanted.offset
        assert row["topic"] == wanted.topic
        assert row["time"].timestamp() == pytest.approx(reading.time_us / 1e6, abs=1e-6)
        assert row["quality"] == reading.quality.level.name.lower()
        assert row["restated"] is reading.restates
        match reading.value:
            case None:
                assert (row["value"], row["text"]) == (None, None)
            case str():
                assert (row["value"], row["text"]) == (None, reading.value)
            case bool() | float():
                assert (row["value"], row["text"]) == (float(reading.value), None)
            case int():
                exact = int(row["value"]) if row["text"] is None else int(row["text"])
                assert exact == reading.value
            case other:
                assert (row["value"], json.loads(row["text"])) == (None, other)


def test_without_pyarrow_parquet_says_what_to_install(journal: Path, tmp_path: Path) -> None:
    """And leaves nothing behind."""
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')")
    there = tmp_path / "out"
    there.mkdir()
    done = subprocess.run(
        [*SENSORD, "export", str(journal), "-o", str(there / "x.parquet")],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        timeout=120,
    )
    assert done.returncode == 1
    assert "pip install 'sensord[parquet]'" in done.stderr
    assert not list(there.iterdir())


# -- info ----------------------------------------------------------------------------------------


def test_info_tells_what_is_in_a_journal(journal: Path) -> None:
    """And in a file of it, and goes on behind what is none."""
    rows = expected_rows(journal)
    segment = str(min(journal.glob("*.mcap")))
    done = sensord("info", str(journal), "nowhere", segment, "--topics")
    assert done.returncode == 1
    assert done.stderr == "nowhere: cannot be opened: No such file or directory\n"
    assert f"{journal}: journal\n" in done.stdout
    assert f"{segment}: MCAP file of sensord\n" in done.stdout
    assert f"offsets   0 to {rows[-1].offset}\n" in done.stdout
    assert f"readings  {len(rows)}, " in done.stdout
    assert re.search(r"unsealed  [1-9]\d* readings in the open segment, [1-9]\d* in", done.stdout)
    count = sum(row.topic == "plant/area0/device0/value0" for row in rows)
    assert re.search(rf"plant/area0/device0/value0 +{count} float  Cel\n", done.stdout)
    assert "holes     0\n" in done.stdout


def test_info_names_holes(journal: Path, tmp_path: Path) -> None:
    """With their offsets and the reason."""
    for path in journal.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    gone = sorted(tmp_path.glob("*.mcap"))[1]
    gone.unlink()
    done = sensord("info", str(tmp_path))
    assert re.search(rf"offsets {int(gone.stem)} to \d+ \(\d+\): ", done.stdout)


LIVE = """
[journal]
folder = "{folder}"
commit_interval = "100ms"
[devices.weather]
reader = "simulated"
interval = "5ms"
signals.wind = {{ high = 10 }}
publish = {{ policy = "every" }}
"""


@on_uvloop()
async def test_a_running_daemon_is_not_disturbed(tmp_path: Path) -> None:
    """Its journal is described and exported while it writes, and the rows are those it sent."""
    folder = tmp_path / "journal"
    with Daemon(tmp_path, LIVE.format(folder=folder)) as daemon:
        async with Client(daemon.url, name="test") as client:
            readings = Follower(client.subscribe("weather/#"))
            await readings.live()
            await readings.count(100)
            seen = [(u.reading.time_us, u.reading.value) for u in readings.updates[:100]]
            # A commit interval later, told by the device's own clock, what was seen is on the disk.
            await readings.count(150)
            info = await in_thread(sensord, "info", str(folder))
            done = await in_thread(sensord, "export", str(folder), "--strict")
            await readings.count(250)
    assert info.returncode == 0, info.stderr
    assert re.search(r"readings  [1-9]", info.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [(row.reading.time_us, row.reading.value) for row in csv_rows(done.stdout)]
    at = rows.index(seen[0])
    assert rows[at : at + 100] == seen


# -- what the documents say ----------------------------------------------------------------------


def test_the_documented_columns_are_those_of_the_csv() -> None:
    """docs/recordings.md is what other programs are written by."""
    text = (REPOSITORY / "docs" / "recordings.md").read_text()
    section = text.partition("## CSV")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(COLUMNS)
    assert ",".join(COLUMNS) in section


@pytest.mark.parametrize("needs", ["csv", "mcap", "read_csv", "read_parquet"])
def test_the_documented_examples_run(tmp_path: Path, needs: str) -> None:
    """Each Python example of the page runs on an export of a journal."""
    text = (REPOSITORY / "docs" / "recordings.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    marks = {"csv": "import csv\n", "mcap": "from mcap"}
    wanted = [code for code in examples if marks.get(needs, needs) in code]
    assert wanted
    if needs.startswith("read_"):
        pytest.importorskip("pandas")
    if needs == "read_parquet":
        pytest.importorskip("pyarrow")
    writer = open_writer(tmp_path / "journal")
    writer.commit(walk_readings(300, of=channels(3)), START_US, 0)
    writer.close(START_US, 1)
    for name in ("readings.csv", "readings.mcap"):
        sensord("export", str(tmp_path / "journal"), "-o", str(tmp_path / name))
    if needs == "read_parquet":
        sensord("export", str(tmp_path / "journal"), "-o", str(tmp_path / "readings.parquet"))
    for code in wanted:
        done = subprocess.run(
            [SENSORD[0], "-c", code],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "value" in done.stdout


def test_a_spreadsheet_reads_the_csv(journal: Path) -> None:
    """Python's csv module stands for it: every line has every column."""
    done = sensord("export", str(journal), "--limit", "500")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 500
    assert all(tuple(row) == COLUMNS and None not in row.values() for row in rows)


def test_a_file_that_exists_is_replaced_with_force_only(journal: Path, tmp_path: Path) -> None:
    """As `sensord record` does: it may be the only copy of another time."""
    there = tmp_path / "x.csv"
    there.write_text("old")
    done = sensord("export", str(journal), "-o", str(there))
    assert (done.returncode, "already exists" in done.stderr) == (1, True)
    assert there.read_text() == "old"
    assert sensord("export", str(journal), "-o", str(there), "--force").returncode == 0
    assert there.read_text() != "old"
