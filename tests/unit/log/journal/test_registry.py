"""Facts come back as they were written; a damaged line is left out and counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.log.journal.registry import (
    Facts,
    Hole,
    Registry,
    Sealed,
    channel_line,
    explain,
    hole_line,
    read_facts,
    unexplained,
)
from sensord.mcap.channels import Described
from sensord.mcap.disk import Disk
from sensord.model.readings import Kind, Metadata, ValueType

FACTS = Facts(
    "0123456789abcdef",
    {1: Described("a/b", Metadata(ValueType.INT, "m", 2, Kind.EVENT, "größe", "dev"))},
    {0: Sealed(0, 10, 1, 2, 3, 400)},
    [Hole(10, 5, "why")],
    removed_before=7,
)


def test_facts_come_back(tmp_path: Path) -> None:
    """All that a registry says."""
    registry = Registry(Disk(), tmp_path)
    registry.rewrite(FACTS)
    assert read_facts(tmp_path / "registry") == FACTS
    registry.close()


def test_lines_are_added_to_what_stands_there(tmp_path: Path) -> None:
    """Also behind a line that was cut off."""
    registry = Registry(Disk(), tmp_path)
    registry.rewrite(FACTS)
    registry.append([hole_line(Hole(20, 1, "x"))], sync=True)
    registry.close()
    path = tmp_path / "registry"
    path.write_bytes(path.read_bytes()[:-4])
    registry.open()
    registry.append([channel_line(2, Described("c", Metadata()))], sync=False)
    facts = read_facts(path)
    assert facts.holes == FACTS.holes
    assert len(facts.damaged) == 1
    assert facts.channels[2] == Described("c", Metadata())
    registry.close()


@given(bit=st.integers(0, len(b"".join(FACTS.lines())) * 8 - 1))
def test_a_flipped_bit_costs_one_line(tmp_path_factory: pytest.TempPathFactory, bit: int) -> None:
    """Two, if it makes or takes a line feed."""
    data = bytearray(b"".join(FACTS.lines()))
    data[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.getbasetemp() / "registry"
    path.write_bytes(data)
    facts = read_facts(path)
    path.unlink()
    assert 1 <= len(facts.damaged) <= 2
    assert facts.epoch in {"", FACTS.epoch}
    assert set(facts.channels.items()) <= set(FACTS.channels.items())
    assert set(facts.sealed.items()) <= set(FACTS.sealed.items())
    assert set(facts.holes) <= set(FACTS.holes)


def test_lines_of_the_future_are_passed_over(tmp_path: Path) -> None:
    """An older sensord reads what it knows."""
    facts = Facts()
    facts.add({"colour": "red"})
    facts.add({"channel": 3, "topic": "x", "shape": "round"})
    assert facts.channels == {3: Described("x", Metadata(type=ValueType.JSON))}


def test_a_range_is_explained_by_the_holes_in_it() -> None:
    """And by a general reason where there is none."""
    holes = [Hole(10, 5, "a"), Hole(20, 100, "b")]
    found = list(explain(8, 30, holes, "?"))
    assert found == [
        Hole(8, 2, "?"),
        Hole(10, 5, "a"),
        Hole(15, 5, "?"),
        Hole(20, 10, "b"),
    ]
    assert list(unexplained(8, 30, holes)) == [(8, 10), (15, 20)]
    assert list(unexplained(10, 15, holes)) == []
