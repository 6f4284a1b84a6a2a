"""Every family of devices comes out as expected, and the documents list what does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.field.families import FAMILIES, differences, played, row

PAGE = Path(__file__).parents[2] / "docs" / "families.md"


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_comes_out_as_expected(name: str) -> None:
    """Its last values, units, qualities and times."""
    assert list(differences(name)) == []


def test_a_block_with_a_wrong_digit_gives_nothing() -> None:
    """It was cut off before its checksum, too."""
    assert played("vedirect-corrupt").last == {}


def test_the_table_in_the_documents_is_what_comes_out() -> None:
    """Python -m tests.field.families writes it."""
    found = re.findall(r"^\| \[.*$", PAGE.read_text(), flags=re.MULTILINE)
    assert found == [row(name) for name in FAMILIES]
