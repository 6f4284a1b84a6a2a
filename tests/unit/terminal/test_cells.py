"""Text in the cells of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.terminal.cells import clean, cut, fit, width_of


@given(st.text(), st.integers(0, 40), st.booleans())
def test_a_text_that_is_fitted_has_exactly_the_width(text: str, width: int, is_right: bool) -> None:
    """Whatever its characters are, a wide one at the edge included."""
    assert width_of(fit(clean(text), width, is_right=is_right)) == width


@given(st.text())
def test_a_device_cannot_control_the_terminal(text: str) -> None:
    """No escape and no line feed remains."""
    assert all(one.isprintable() for one in clean(text))


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("boiler", 6, "boiler"), ("boiler", 4, "boi…"), ("温度計", 5, "温度…"), ("boiler", 0, "")],
)
def test_an_ellipsis_marks_what_is_missing(text: str, width: int, shown: str) -> None:
    """Cells count, not characters."""
    assert cut(text, width) == shown


def test_of_a_topic_the_end_is_kept() -> None:
    """The last levels tell topics apart."""
    assert cut("plant/boiler/temperature", 12, keeps_end=True) == "…temperature"
