"""What a disk is written in a day, from the kernel's own counters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sensord.log.journal.wear import MEASURED_US, WearMeter, wear_of, years_left

DAY_US = 86400 * 1_000_000


class Kernel:
    """Two folders of sysfs: a card with a partition, as the kernel lays them out."""

    def __init__(self, folder: Path) -> None:
        self.blocks = folder / "block"
        self.blocks.mkdir()
        self.card = folder / "devices" / "mmcblk0"
        (self.card / "mmcblk0p2").mkdir(parents=True)
        (self.card / "mmcblk0p2" / "partition").write_text("2\n")
        (self.card / "size").write_text("62500000\n")
        (self.blocks / "179:0").symlink_to(self.card)
        (self.blocks / "179:2").symlink_to(self.card / "mmcblk0p2")
        self.write(0)

    def write(self, sectors: int) -> None:
        (self.card / "stat").write_text(f" 1 2 3 4 5 6 {sectors} 8 9 10 11\n")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.mark.parametrize("number", [os.makedev(179, 0), os.makedev(179, 2)])
def test_a_partition_wears_its_whole_card(kernel: Kernel, number: int) -> None:
    """Whatever is written to any part of it."""
    kernel.write(10)
    wear = wear_of(number, kernel.blocks)
    assert wear == ("mmcblk0", 32_000_000_000, 5120)


def test_what_is_no_disk_tells_nothing(kernel: Kernel, tmp_path: Path) -> None:
    """A tmpfs has a number, but no counters."""
    assert wear_of(os.makedev(0, 27), kernel.blocks) is None
    assert wear_of(os.makedev(0, 27)) is None
    (kernel.card / "stat").write_text("1 2 3")
    assert wear_of(os.makedev(179, 0), kernel.blocks) is None
    assert WearMeter(tmp_path).measure(1, 0) == (None, None)


def test_a_day_is_told_when_it_was_measured_for_long_enough(kernel: Kernel) -> None:
    """Ten minutes; then over all the time since."""
    meter, number = WearMeter(kernel.blocks), os.makedev(179, 2)
    assert meter.measure(number, 0)[1] is None
    kernel.write(2000)
    assert meter.measure(number, MEASURED_US - 1)[1] is None
    assert meter.measure(number, DAY_US // 2)[1] == 2 * 2000 * 512


def test_a_disk_that_was_put_back_begins_anew(kernel: Kernel) -> None:
    """Its counters do."""
    meter, number = WearMeter(kernel.blocks), os.makedev(179, 2)
    kernel.write(1000)
    meter.measure(number, 0)
    kernel.write(10)
    assert meter.measure(number, DAY_US)[1] is None
    kernel.write(20)
    assert meter.measure(number, 2 * DAY_US)[1] == 10 * 512


def test_years_are_cells_times_cycles() -> None:
    """A 32 GB card of 1,000 cycles, written 32 GB a day, lasts 1,000 days."""
    assert years_left(32e9, 1000, 32e9) == pytest.approx(1000 / 365.25)
    assert years_left(32e9, 1000, 0) > 1e6
