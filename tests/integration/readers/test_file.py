"""Files that hold a value: 1-wire, hwmon, whatever prints one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensord.errors import DeviceError
from sensord.readers.file import Config, Reader, captures_of
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop
from tests.kit.running import open_descriptors, running
from tests.unit.decode.streams import config_faults


def thermometer(folder: Path, name: str, text: str) -> Path:
    file = folder / f"28-{name}" / "temperature"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


@on_each_loop
async def test_each_file_is_a_source_with_what_its_pattern_stood_for(tmp_path: Path) -> None:
    """Read again and again; one that comes later is read, too; nothing is left open."""
    thermometer(tmp_path, "a", "21500\n")
    thermometer(tmp_path, "b", "-1250\n")
    before = open_descriptors()
    config = Config(f"{tmp_path}/28-*/temperature", interval=0.02)
    async with running(Reader(config)) as link:
        await link.until(lambda link: len(link.messages) >= 4)
        routes = {route.captures: payload for route, payload in link.messages}
        assert routes == {("a",): b"21500\n", ("b",): b"-1250\n"}
        thermometer(tmp_path, "c", "5\n")
        await link.until(lambda link: any(r.captures == ("c",) for r, _ in link.messages))
        assert link.details == [f"2 files, {config.path}"]
    assert open_descriptors() <= before


@on_each_loop
async def test_a_file_that_is_gone_is_away_and_comes_back(tmp_path: Path) -> None:
    """The others are read meanwhile; the fault is reported once."""
    file = thermometer(tmp_path, "a", "1\n")
    thermometer(tmp_path, "b", "2\n")
    async with running(Reader(Config(f"{tmp_path}/28-*/temperature", interval=0.02))) as link:
        await link.until(lambda link: len(link.messages) >= 2)
        file.unlink()
        await link.until(lambda link: link.faults)
        count = len(link.messages)
        await link.until(lambda link: len(link.messages) > count + 3)
        assert [reason for reason, _ in link.faults] == ["cannot read"]
        assert {route.captures for route, _ in link.messages[count + 1 :]} == {("b",)}
        thermometer(tmp_path, "a", "3\n")
        await link.until(
            lambda link: link.messages[-1][1] == b"3\n" or link.messages[-2][1] == b"3\n"
        )


@on_each_loop
async def test_a_fifo_holds_up_no_other_file(tmp_path: Path) -> None:
    """Opening it waited for a writer, and no file was read any more."""
    thermometer(tmp_path, "a", "1\n")
    (tmp_path / "28-b").mkdir()
    os.mkfifo(tmp_path / "28-b" / "temperature")
    async with running(Reader(Config(f"{tmp_path}/28-*/temperature", interval=0.02))) as link:
        await link.until(lambda link: len(link.messages) >= 3 and link.faults)
        assert {route.captures for route, _ in link.messages} == {("a",)}


@on_each_loop
async def test_without_a_file_the_device_is_not_there(tmp_path: Path) -> None:
    """With what to look for."""
    with pytest.raises(DeviceError, match="no such file"):
        await Reader(Config(f"{tmp_path}/28-*/temperature")).run(RecordingLink())
    thermometer(tmp_path, "a", "")
    with pytest.raises(DeviceError, match="cannot read"):
        await Reader(Config(f"{tmp_path}/28-*/temperature")).run(RecordingLink())


def test_patterns_are_absolute_and_stand_for_parts_of_one_level() -> None:
    """Each * is a place."""
    assert captures_of("/sys/hwmon*/temp*_input", "/sys/hwmon3/temp1_input") == ("3", "1")
    assert captures_of("/a/b", "/a/b") == ()
    assert config_faults(Config, {"path": "a"}) == [
        "path: expected an absolute path, such as /sys/class/hwmon/hwmon*/temp1_input"
    ]
    assert any("**" in one for one in config_faults(Config, {"path": "/a/**"}))


@on_each_loop
async def test_a_folder_in_the_place_of_a_file_costs_no_descriptor(tmp_path: Path) -> None:
    """However often it is looked at."""
    thermometer(tmp_path, "a", "1\n")
    (tmp_path / "28-b" / "temperature").mkdir(parents=True)
    before = open_descriptors()
    async with running(Reader(Config(f"{tmp_path}/28-*/temperature", interval=0.02))) as link:
        await link.until(lambda link: len(link.messages) >= 10)
    assert open_descriptors() <= before
