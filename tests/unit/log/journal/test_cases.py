"""Each case of a start is found as such, and the tables are complete."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sensord.log.journal import Options, Writer
from sensord.log.journal.cases import EPOCH, REGISTRY, RING, SEGMENT, TABLES, Cases
from sensord.log.journal.survey import Survey, survey
from sensord.mcap.records import FOOTER_BYTES
from tests.kit.journal import START_US, killed_journal, small_shape
from tests.kit.journal_damage import flip_bit, registry_lines

DOCUMENT = Path(__file__).parents[4] / "docs/journal.md"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_of_any_facts_exactly_one_case_holds(table: Cases[Any]) -> None:
    """No combination is forgotten, and none is decided in two ways."""
    for facts in itertools.product([True, False], repeat=len(table.rows)):
        assert len(table.holding(*facts)) == 1, facts


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_document_shows_the_table(table: Cases[Any]) -> None:
    """As it is drawn from the data."""
    assert "\n".join(table.lines()) in DOCUMENT.read_text()


# -- each label ------------------------------------------------------------------------------------


def sealed(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mcap"))


def unsealed(folder: Path) -> Path:
    (path,) = folder.glob("*.mcap.open")
    return path


def make_unreadable(folder: Path) -> str:
    # Not by its permissions: root reads everything.
    path = sealed(folder)[1]
    path.unlink()
    path.symlink_to(path)
    return path.name


def forget_listing(folder: Path) -> str:
    path = sealed(folder)[1]
    start, end = next(registry_lines(folder, f'"sealed":{int(path.stem)},'))
    data = (folder / "registry").read_bytes()
    (folder / "registry").write_bytes(data[:start] + data[end + 1 :])
    return path.name


def damage_summary(folder: Path) -> str:
    name = forget_listing(folder)
    flip_bit(folder / name, (folder / name).stat().st_size - FOOTER_BYTES + 20)
    return name


def tear_end(folder: Path) -> str:
    path = unsealed(folder)
    path.write_bytes(path.read_bytes() + b"\x06" + bytes(3))
    return path.name


def damage_middle(folder: Path) -> str:
    path = unsealed(folder)
    flip_bit(path, 8)  # the opcode of the first record
    return path.name


def close(folder: Path) -> str:
    writer = Writer(Options(folder=str(folder)), shape=small_shape())
    writer.open(START_US + 10**9, 0)
    writer.close(START_US + 10**9, 1)
    return "ring"


def cut_newest_frame(folder: Path) -> str:
    frame = max(survey(folder).frames, key=lambda frame: frame.head.serial)
    assert frame.head.count
    flip_bit(folder / "ring", frame.head.slot * 4096 + 80)
    return "ring"


def empty(folder: Path) -> str:
    shutil.rmtree(folder)
    folder.mkdir()
    return "ring"


def without(name: str, then: str) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        (folder / name).unlink()
        return then

    return act


def nothing(name: str) -> Callable[[Path], str]:
    return lambda _: name


def without_sealed(folder: Path) -> str:
    for path in sealed(folder):
        path.unlink()
    (folder / "registry").unlink()
    return "registry"


def scratch(folder: Path) -> str:
    flip_bit(folder / "registry", next(registry_lines(folder, '"channel"'))[0] + 20)
    return "registry"


def forget_one(folder: Path) -> str:
    forget_listing(folder)
    return "registry"


class Recipe(NamedTuple):
    """How a folder comes into a case; `act` returns the name of the file that is in it."""

    act: Callable[[Path], str]
    check: Callable[[Survey], object] = lambda _: True


def both_gone(folder: Path) -> str:
    (folder / "ring").unlink()
    (folder / "registry").unlink()
    return "epoch"


RECIPES: dict[str, dict[str, Recipe]] = {
    SEGMENT.title: {
        "unreadable": Recipe(make_unreadable, lambda found: len(found.sealed) > 2),
        "listed": Recipe(lambda folder: sealed(folder)[0].name),
        "unlisted": Recipe(forget_listing, lambda found: not found.missing),
        "bare": Recipe(damage_summary, lambda found: found.damage),
        "torn": Recipe(tear_end, lambda found: not found.damage),
        "broken": Recipe(damage_middle, lambda found: found.damage),
    },
    RING.title: {
        "new": Recipe(empty, lambda found: found.next_offset == 0),
        "lost": Recipe(
            without("ring", "ring"),
            lambda found: found.damage and found.next_offset == found.end + (1 << 25),
        ),
        "closed": Recipe(close, lambda found: found.was_closed),
        "killed": Recipe(nothing("ring"), lambda found: found.next_offset > found.end),
        "cut": Recipe(cut_newest_frame, lambda found: found.damage[-1].file == "ring"),
    },
    REGISTRY.title: {
        "whole": Recipe(nothing("registry")),
        "absent": Recipe(without_sealed),
        "behind": Recipe(forget_one),
        "scratched": Recipe(scratch, lambda found: found.damage[0].file == "registry"),
    },
    EPOCH.title: {
        "of the ring": Recipe(without("registry", "epoch"), lambda found: found.epoch),
        "of the registry": Recipe(without("ring", "epoch"), lambda found: found.epoch),
        "unknown": Recipe(both_gone, lambda found: not found.epoch),
    },
}
LABELS = [(table.title, case.label) for table in TABLES for case in table.columns]


@pytest.mark.parametrize(("title", "label"), LABELS)
def test_a_start_finds_each_case(tmp_path: Path, title: str, label: str) -> None:
    """And what the decision says comes of it."""
    killed_journal(tmp_path / "journal")
    recipe = RECIPES[title][label]
    name = recipe.act(tmp_path / "journal")
    found = survey(tmp_path / "journal")
    assert found.cases[name] == label
    assert recipe.check(found)


def test_no_recipe_is_left_over() -> None:
    """Each belongs to a label."""
    assert sorted(LABELS) == sorted((t, label) for t, found in RECIPES.items() for label in found)
    assert not re.search(r"[A-Z]", "".join(label for _, label in LABELS))
