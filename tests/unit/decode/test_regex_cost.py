"""How long a pattern may take, told before any line is seen."""

from __future__ import annotations

import math
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensord.decode.regex_cost import STEPS, TooManyWaysError, longest_line


def lines_of(degree: int, factor: float = 1.0) -> float:
    """Return the length at which so many ways are as many as may be tried."""
    return float((STEPS / factor) ** (1 / degree))


@pytest.mark.parametrize(
    "pattern",
    [
        r"T=\s*(?P<t>[-\d.]+)C(?: H=(?P<h>\d*)%)?",
        r"(?P<x>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)",
        r"\s*(?P<k>\w+)\s*=\s*(?P<v>\S+)\s*",
        r"(?:\d+,)*x",
        r"(?:\w+ )*x",
        r"(?:[^,]*,){11}(?P<v>\d+)",
        r"(?P<a>[^,]*),(?P<b>[^,]*),(?P<c>[^,]*),(?P<d>[^,]*)",
        r"<(?P<name>.*)>",
        r"(?:on|off)+!",
        r"(?>a+)+b",
        r"(?:a++)+b",
        r"x(?P<v>\d+)(?=C)",
        r"(a)(?:\1b)+c",
    ],
)
def test_a_plain_pattern_looks_at_any_line(pattern: str) -> None:
    """Of the default length at least, wherever in the line it may stand."""
    assert longest_line(pattern) > 4096


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+",
        r"(?:a*)*b",
        r"(.*)*",
        r"^(\w+\s?)*$",
        r"(?:x+x+)+y",
        r"(?:a*?){2,}b",
        r"(?:a|a)*b",
        r"(?:aa|a)*c",
        r"(?:\d+\d*,)*",
        r"(?=(a+)+b)a",
        r"(?:a?b?)*c",
        r"(?:[^a]+A?)*c",
        r"(?i:(?:a+A)*)c",
        r"(?a:(?:\w+\W)*)x",
        r"(?:é+è?)*x",
    ],
)
def test_a_repetition_of_what_has_several_ways_is_refused(pattern: str) -> None:
    """Each further character of a line would double them."""
    with pytest.raises(TooManyWaysError):
        longest_line(pattern)


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        (r"^(?P<a>.*),(?P<b>.*)", lines_of(1)),
        (r"(?P<a>.*),(?P<b>.*)", lines_of(2)),
        (r"(?P<a>.*),(?P<b>.*)$", lines_of(3)),
        (r"(?P<a>.*),(?P<b>\d+)", lines_of(2)),
        (r"(?P<a>.*),(?P<b>.*),(?P<c>.*)", lines_of(3)),
        (r"\A(?P<a>.*),(?P<b>.*),(?P<c>.*)", lines_of(2)),
        (r"(?m)^(?P<a>.*),(?P<b>.*)", lines_of(2)),
        (r"(?P<a>\d+)(?P<b>\d+)x", lines_of(3)),
        (r"[^a]+A", lines_of(2)),
        (r"(?:.*,){3}P", lines_of(4)),
        (r"(?:a|ab)c", lines_of(1)),
        (r"(?:aa|a)ac", lines_of(1, 2)),
        (r"a{2,5}a", lines_of(1, 4)),
    ],
)
def test_each_repetition_that_may_take_what_follows_shortens_the_line(
    pattern: str, longest: float
) -> None:
    """By the root of the steps that may be tried; so does a place to begin that is not fixed."""
    assert math.isclose(longest_line(pattern), longest)


@pytest.mark.parametrize("pattern", [r"(?:a?){30}a{30}", r"(?:(?:a{0,60}){0,60}){0,60}b"])
def test_bounded_repetitions_multiply_too(pattern: str) -> None:
    """So many ways that no line is short enough."""
    assert longest_line(pattern) < 1


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (r"(?P<a>.*),(?P<b>.*),(?P<c>.*)x", "," * 5000),
        (r".*?T=(?P<t>.*?)H=(?P<h>.*?)X", "T=H=" * 5000),
        (r"(\d+)(\d+)x", "1" * 5000),
        (r"(?:\w\w)*x", "a" * 5000),
        (r"(?:a|ab)(?:c|bcd)(?:d*)x", "abcd" * 2000),
    ],
)
def test_the_worst_line_of_that_length_is_done_with_in_time(pattern: str, line: str) -> None:
    """Measured in processor time, with room for a slow machine."""
    worst = line[: int(longest_line(pattern))]
    began = time.process_time()
    assert re.search(pattern, worst) is None
    assert time.process_time() - began < 10


ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", r"\w", r"\s", "(?:a|b)", "(?:ab|a)", "^", "$"]
)
MARKS = st.sampled_from(["", "", "*", "+", "?", "*?", "{2}", "{0,3}", "++"])


@st.composite
def patterns(draw: st.DrawFn, depth: int = 2) -> str:
    """Make patterns of a small alphabet, with groups in groups."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        atom = draw(ATOMS)
        if depth and draw(st.booleans()):
            atom = f"({draw(patterns(depth - 1))})"
        parts.append(atom + (draw(MARKS) if atom not in "^$" else ""))
    return "".join(parts)


@settings(deadline=None)
@given(patterns(), st.lists(st.sampled_from(["a", "b", "ab", " "]), min_size=1, max_size=4))
def test_no_accepted_pattern_hangs(pattern: str, unit: list[str]) -> None:
    """Whatever is repeated in the line: a way for each half of 2^40 would never end."""
    try:
        longest = longest_line(pattern)
    except TooManyWaysError:
        return
    line = ("".join(unit) * 40)[: min(40, int(longest))]
    began = time.process_time()
    re.search(pattern, f"{line}\n!")
    assert time.process_time() - began < 10
