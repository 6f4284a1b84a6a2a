"""The states of a session are those of the document: its table and its picture."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from sensord.wire.states import TRANSITIONS, Event, State, after

DOCUMENT = Path(__file__).parents[3] / "docs" / "protocol.md"


@pytest.fixture(scope="module")
def section() -> str:
    """The section on the states of a session."""
    text = DOCUMENT.read_text()
    found = re.search(r"^### 3\.1 .*?(?=^### )", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def test_the_documents_table_is_the_table(section: str) -> None:
    """Row by row: nothing missing, nothing more."""
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| .* \|$", section, re.MULTILINE)
    assert len(rows) == len(TRANSITIONS)
    told = {(State(state), Event(event)): State(after) for state, event, after in rows}
    assert told == TRANSITIONS


@pytest.fixture(scope="module")
def picture(section: str) -> list[str]:
    """The lines of the picture."""
    (drawn,) = re.findall(r"^```\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return str(drawn).splitlines()


def boxes(picture: list[str]) -> dict[str, tuple[int, int, int]]:
    """Return the boxes around one word: their line, first and last column."""
    found = {}
    for row, line in enumerate(picture[:-1]):
        for top in re.finditer("┌─+┐", line):
            inside = picture[row + 1][top.start() : top.end()]
            if named := re.fullmatch(r"│ +(\w+) +│", inside):
                found[named[1]] = (row + 1, top.start(), top.end() - 1)
    return found


def arrows(picture: list[str]) -> set[tuple[str, str]]:
    """Return which box points to which."""
    around = boxes(picture)
    found = set()
    for row, line in enumerate(picture):
        for right in re.finditer("─+▶", line):
            (start,) = [
                n for n, (at, _, end) in around.items() if (at, end) == (row, right.start() - 1)
            ]
            (stop,) = [n for n, (at, left, _) in around.items() if (at, left) == (row, right.end())]
            found.add((start, stop))
        for down in re.finditer("▼", line):
            column = down.start()
            over = [(at, n) for n, (at, a, b) in around.items() if a < column < b and at < row]
            under = [(at, n) for n, (at, a, b) in around.items() if a < column < b and at > row]
            found.add((max(over)[1], min(under)[1]))
    return found


def test_the_documents_picture_has_the_same_states(picture: list[str]) -> None:
    """A box for each."""
    assert sorted(boxes(picture)) == sorted(state.value for state in State)


def test_the_documents_picture_has_the_same_arrows(picture: list[str]) -> None:
    """Each way from one state to another is drawn, and no other."""
    ways = {(before.value, to.value) for (before, _), to in TRANSITIONS.items() if before is not to}
    assert arrows(picture) == ways


def test_the_labels_on_the_documents_picture_are_events(picture: list[str]) -> None:
    """Each arrow says what leads along it; to refuse is what time and close have in common."""
    words = set(re.findall(r"\w+", " ".join(picture)))
    events = {event.value for event in Event}
    assert words & events == {"hello", "request", "close"}
    assert "refuse" in words


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_a_pair_leads_where_the_table_says_or_is_an_error(state: State, event: Event) -> None:
    """What cannot happen is not passed over."""
    if (state, event) in TRANSITIONS:
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(KeyError):
            after(state, event)


def test_nothing_happens_after_the_end() -> None:
    """And the end can be reached from everywhere."""
    assert all(state is not State.CLOSED for state, _ in TRANSITIONS)
    for state in (State.OPENING, State.READY):
        assert after(state, Event.CLOSE) is State.CLOSED
