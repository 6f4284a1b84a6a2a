"""`sensord wear`: of a running daemon, and of a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.cli import main
from sensord.log.journal import Options, Writer, forecast_bytes_per_day
from sensord.model.readings import Reading, Value, ValueType
from tests.kit.daemon import in_thread, on_uvloop
from tests.kit.journal import START_US, channels, walk_readings
from tests.kit.station import Station


async def wear_of(told: Value, *arguments: str) -> int:
    async with Station() as station:
        channel = station.state("$sys/journal", ValueType.JSON)
        station.bus.publish(channel, Reading(station.bus.now_us(), told))
        return int(await in_thread(main, ["wear", station.url, *arguments]))


@on_uvloop()
async def test_a_daemon_tells_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole disk's writing counts; for what nobody knows three cases are told."""
    told: Value = {
        "state": "ok",
        "measured_s": 7200,
        "written_per_day": 400_000_000,
        "disk_written_per_day": 1_000_000_000,
        "disk_bytes": 32_000_000_000,
    }
    assert await wear_of(told, "--endurance", "3000") == 0
    said = capsys.readouterr().out
    assert "for 2 h 0 min" in said
    assert "400 MB a day" in said
    assert "1 GB a day" in said
    assert "a card of 32 GB with 3,000 writes" in said
    # 32 GB * 3000 cycles / 1 GB a day = 96,000 days
    assert "more than 100 years  if it writes 1 times" in said
    assert "87.6 years           if it writes 3 times" in said
    assert "26.3 years           if it writes 10 times" in said
    assert await wear_of(told, "--endurance", "3000", "--card", "3.2GB") == 0
    assert "2.63 years           if it writes 10 times" in capsys.readouterr().out


@on_uvloop()
async def test_a_daemon_that_has_not_measured_is_estimated_by_its_readings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It refused for ten minutes; now it says that it is an estimate, and of what."""
    told: Value = {
        "state": "ok",
        "measured_s": 90,
        "recorded": 9000,
        "max_bytes": 2_937_600_000,
        "max_age_s": 30 * 86400,
        "disk_bytes": 32_000_000_000,
    }
    assert await wear_of(told) == 0
    said = capsys.readouterr().out
    assert said.startswith("estimated from the first 1 min 30 s of ws://")
    assert "9,000 since then: 100 a second" in said
    # 100 a second at 34 bytes are 293.76 MB a day
    assert "10 days at this rate, limited by max_bytes" in said
    assert "a card of 32 GB" in said


@on_uvloop()
async def test_a_daemon_that_has_just_started_says_when_to_ask(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And one that does not record says that."""
    assert await wear_of({"state": "ok", "measured_s": 5, "recorded": 3}) == 1
    assert "Try again in a minute" in capsys.readouterr().err
    assert await wear_of({"state": "off"}) == 1
    assert "does not record" in capsys.readouterr().err


def test_a_folder_is_estimated_by_its_readings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sealed, open and in the ring, over the time that was recorded, pauses left out."""
    writer = Writer(Options(folder=str(tmp_path)))
    writer.open(START_US, 0)
    first = walk_readings(6000, rate=100, of=channels(10))
    later_us = START_US + 86400 * 1_000_000
    later = walk_readings(6000, first=6000, rate=100, start_us=later_us, of=channels(10))
    writer.commit(first, START_US, 1)
    writer.rotate(START_US, 2)
    writer.commit(later, later_us, 3)
    writer.abandon()
    assert main(["wear", str(tmp_path), "--card", "16GB"]) == 0
    said = capsys.readouterr().out
    took_us = sum(part[-1].log_us - part[0].log_us for part in (first, later))
    rate = 12_000 / took_us * 1e6
    assert f"12,000 in 2 min 1 s of recording: {rate:.4g} a second" in said
    assert f"{forecast_bytes_per_day(rate) / 1e6:.3g} MB a day" in said
    assert "a card of 16 GB" in said


@pytest.mark.parametrize("where", ["nothing-here", "empty"])
def test_a_folder_without_readings_says_so(
    tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line."""
    (tmp_path / "empty").mkdir()
    assert main(["wear", str(tmp_path / where)]) == 1
    assert where in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--card", "0"], ["--card", "big"], ["--endurance", "0"], ["--commit-interval", "0"]],
)
def test_what_is_no_card_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With an example of one."""
    with pytest.raises(SystemExit):
        main(["wear", *arguments])
    assert "such as" in capsys.readouterr().err
