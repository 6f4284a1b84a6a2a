"""Numbers as blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.terminal.plots import cells_of, chart, spark

NUMBERS = st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=50)


def test_a_sparkline_ends_with_the_newest_number() -> None:
    """A hole is blank, the least and the greatest number are not."""
    assert spark([1.0, 2.0, None, 3.0], 6) == "  ▁▅ █"
    assert spark([1.0, 2.0, None, 3.0], 2) == " ▅"[:1] + "▅"


def test_a_constant_is_in_the_middle() -> None:
    """It is neither low nor high."""
    assert spark([5.0, 5.0], 2) == "▅▅"


def test_a_chart_has_the_greatest_number_at_its_top() -> None:
    """The least is one step high, so it differs from a hole."""
    assert chart([0.0, None, 1.0], 2) == ["  █", "▁ █"]


@given(NUMBERS, st.integers(0, 30), st.booleans())
def test_any_numbers_fill_exactly_the_room(
    numbers: list[float | None], size: int, is_plain: bool
) -> None:
    """The largest floats included."""
    assert len(spark(numbers, size, is_plain=is_plain)) == size
    drawn = chart(numbers, size, is_plain=is_plain)
    assert [len(line) for line in drawn] == [len(numbers)] * size
    assert not is_plain or "".join(drawn).isascii()


def test_an_interval_fills_all_its_columns() -> None:
    """A wide screen has more columns than there are intervals; nothing looks like a hole."""
    assert list(cells_of(5_000_000, 5.0, 0, 20_000_000, 8)) == [2, 3]
    assert list(cells_of(15_000_000, 5.0, 0, 20_000_000, 8)) == [6, 7]
    assert list(cells_of(-9, 0.001, 0, 20_000_000, 8)) == [0]
    assert list(cells_of(99_000_000, 5.0, 0, 20_000_000, 8)) == [7]
