"""The states of connections and devices: the tables, their pictures, and the readers' reasons."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sensord.decode.base import Sample
from sensord.device.intake import Route
from sensord.device.states import (
    BEHIND,
    CONNECTION,
    REASONS,
    Event,
    State,
    after,
    behind,
    event_of,
)
from sensord.model.readings import Metadata
from sensord.readers.line import _OPEN_ERRORS
from tests.unit.device.test_device import Scene

ROOT = Path(__file__).parents[3]

Table = Mapping[tuple[State, Event], State]


def drawn(table: Table) -> str:
    """Draw a table as the document does: one arrow for all events between two states."""
    arrows: dict[tuple[State, State], list[str]] = {}
    for (state, event), stop in table.items():
        arrows.setdefault((state, stop), []).append(event.value)
    first = State.CONNECTING if table is CONNECTION else State.ABSENT
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}"]
    for (start, stop), events in arrows.items():
        if start is not stop:
            lines.append(f"    {start.value} --> {stop.value}: {', '.join(events)}")
    return "\n".join([*lines, "```"])


def tabled(table: Table) -> str:
    """Write a table as the document does: a row for each state, a column for each event."""
    events = [event for event in Event if any(event is one for _, one in table)]
    states = [state for state in State if any(state is one for one, _ in table)]
    lines = [f"| | {' | '.join(f'`{event.value}`' for event in events)} |"]
    lines.append("| --- |" + " --- |" * len(events))
    for state in states:
        cells = [table.get((state, event)) for event in events]
        lines.append(f"| `{state.value}` | {' | '.join(c.value if c else '' for c in cells)} |")
    return "\n".join(lines)


@pytest.mark.parametrize(("name", "table"), [("connection", CONNECTION), ("behind", BEHIND)])
def test_the_document_has_the_table_and_its_picture(name: str, table: Table) -> None:
    """Both are drawn from the code; paste the expected text where they differ."""
    text = (ROOT / "docs" / "operating.md").read_text()
    found = re.search(rf"<!-- states: {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found is not None
    assert found[1].strip() == f"{drawn(table)}\n\n{tabled(table)}"


def test_every_state_is_reached_and_only_a_stopped_one_is_left_by_nothing() -> None:
    """No state is an ornament, and no device is stuck in one."""
    reached = set(CONNECTION.values())
    assert reached == {*State}
    left = {start for (start, _), stop in CONNECTION.items() if stop is not start}
    assert left == {*State} - {State.STOPPED}
    every = {Event.GONE, Event.QUIET, Event.FAILED, Event.STOP}
    assert all({e for s, e in CONNECTION if s is state} >= every for state in left)


def reasons_of(folder: Path) -> Iterator[str]:
    """Yield the constant reasons with which the code ends a run."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in RAISED:
                (first, *_) = [*node.args, None]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


RAISED = {"DeviceError", "_UnansweredError"}

ELSEWHERE = {"not connected", "not running", "too late"}
"""Those of commands, which end no run."""


def test_each_reason_of_a_reader_has_its_event() -> None:
    """A new one is decided on, and no other stands in the table."""
    given = {*reasons_of(ROOT / "sensord" / "readers"), *reasons_of(ROOT / "sensord" / "device")}
    given |= {reason for reason, _ in _OPEN_ERRORS.values()}
    from_errno = (ROOT / "sensord" / "readers" / "blocking.py").read_text()
    given |= set(re.findall(r'errno\.\w+: \("([^"]+)"', from_errno))
    given |= {
        "no answer",
        "garbled answer",
        "incomplete answer",
        "reader failed",
    }  # named constants
    assert given - ELSEWHERE == {*REASONS}


def test_an_unknown_reason_is_a_fault() -> None:
    """Such as that of a reader of somebody else's, or a broker's own words."""
    assert event_of("broker refused: not authorized") is Event.FAILED


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("unplugged", "absent"),
        ("connection refused", "absent"),
        ("silent", "silent"),
        ("no answer", "silent"),
        ("permission denied", "faulted"),
        ("reader failed", "faulted"),
    ],
)
def test_a_device_says_what_is_wrong_with_it(reason: str, state: str) -> None:
    """Also while it is tried again."""
    scene = Scene()
    scene.device.connecting()
    scene.device.up("/dev/ttyUSB0")
    scene.device.down(reason, "", 1.0)
    scene.device.connecting()
    assert scene.told()[-1]["state"] == state


def test_a_silent_device_is_up_with_its_first_value_and_not_with_its_port() -> None:
    """An adapter that hangs can be opened as often as one likes; noise proves nothing either."""
    scene = Scene()
    scene.device.up("/dev/ttyUSB0 at 9600")
    scene.device.down("silent", "no byte in 60 s", 0.0)
    scene.device.connecting()
    scene.device.up("/dev/ttyUSB0 at 9600")
    told = scene.told()[-1]
    assert (told["state"], told["detail"]) == ("silent", "silent: no byte in 60 s")
    scene.device.data(b"\xff\xff\n")
    scene.device.message(Route("in", is_retained=True), b"t=1")
    assert scene.device.statistics().state is State.SILENT
    scene.device.data(b"t=1\n")
    told = scene.told()[-1]
    assert (told["state"], told["detail"]) == ("up", "/dev/ttyUSB0 at 9600")


def test_a_device_that_is_stopped_says_so_once() -> None:
    """The last that monitors and the journal get of it."""
    scene = Scene()
    scene.device.up("here")
    scene.device.close()
    scene.device.close()
    assert [one["state"] for one in scene.told()] == ["up", "stopped"]


def test_a_device_behind_a_connection_has_a_state_of_its_own() -> None:
    """While the connection is up; else it is that of the connection."""
    scene = Scene()
    scene.device.up("/dev/ttyUSB0")
    scene.device.describe("t", Metadata(), device="oven")

    def state() -> object:
        value = scene.records("$sys/devices/oven")[-1].reading.value
        assert isinstance(value, dict)
        return value["state"]

    route = Route("oven", depends_on=("oven",), device="oven")
    scene.device.availability("oven", is_there=True)
    assert state() == "up"
    scene.device.samples([Sample("t", 1.0)], route)
    scene.device.availability("oven", is_there=False)
    assert state() == "silent"
    scene.device.down("unplugged", "", 1.0)
    assert state() == "absent"
    scene.device.up("/dev/ttyUSB0")
    assert state() == "silent"
    scene.device.availability("oven", is_there=True)
    assert state() == "up"


def test_pairs_that_cannot_be_are_errors() -> None:
    """A mistake of ours must not become a state."""
    with pytest.raises(KeyError):
        after(State.STOPPED, Event.OPENED)
    with pytest.raises(KeyError):
        behind(State.FAULTED, Event.HEARD)
