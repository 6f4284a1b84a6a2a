"""What the daemon says on stderr: one line each, with fields that nothing can forge."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.host.journald import FieldsFormatter, setup

FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|[^ ]*)')


def record(message: str = "device is up", level: int = logging.INFO, **fields: Any) -> Any:
    return logging.makeLogRecord(
        {"msg": message, "levelno": level, "levelname": logging.getLevelName(level), **fields}
    )


def line(**fields: Any) -> str:
    return FieldsFormatter(to_journal=True).format(record(**fields))


def test_a_record_is_its_message_and_its_fields() -> None:
    """In the order in which they were given."""
    assert (
        line(device="boiler", runs=2, up_s=1.5) == "<6>device is up device=boiler runs=2 up_s=1.5"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("no such port", '"no such port"'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("größer", "größer"),
        ("grö ßer", '"grö ßer"'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\ud800", r'"\ud800"'),
        (None, "None"),
        (["a", 1], '''"['a', 1]"'''),
    ],
)
def test_a_value_is_quoted_where_it_could_be_misread(value: object, shown: str) -> None:
    """Spaces, quotes, equal signs, controls and nothing at all."""
    assert line(x=value) == f"<6>device is up x={shown}"


@given(st.lists(st.text(max_size=12), min_size=1, max_size=3))
def test_no_value_can_look_like_another_field_or_line(values: list[str]) -> None:
    """Reading the fields undoes writing them."""
    told = line(**{f"f{i}": value for i, value in enumerate(values)})
    assert told.isprintable()
    fields = FIELD.findall(told)
    assert [name for name, _ in fields] == [f"f{i}" for i in range(len(values))]
    read = [json.loads(text) if text.startswith('"') else text for _, text in fields]
    assert read == values


@pytest.mark.parametrize(
    ("level", "priority"),
    [(10, 7), (20, 6), (30, 4), (40, 3), (50, 2), (25, 6)],
)
def test_journald_sorts_by_syslogs_levels(level: int, priority: int) -> None:
    """A level of somebody else's is information."""
    told = FieldsFormatter(to_journal=True).format(record("x", level))
    assert told == f"<{priority}>x"


def failure() -> Any:
    try:
        raise ValueError("broken")
    except ValueError:
        return sys.exc_info()


def test_each_line_of_a_traceback_has_its_priority() -> None:
    """To journald each is a message of its own."""
    told = FieldsFormatter(to_journal=True).format(record("x", 40, exc_info=failure()))
    lines = told.splitlines()
    assert lines[0] == "<3>x"
    assert lines[-1] == "<3>ValueError: broken"
    assert all(one.startswith("<3>") for one in lines)


def test_people_see_a_time_and_a_level() -> None:
    """And no priorities."""
    told = FieldsFormatter(to_journal=False).format(
        record("x", 30, a=1, exc_info=(None, None, None))
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d warning x a=1", told)


@pytest.fixture
def quiet_root() -> Iterator[logging.Logger]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize("to_journal", [False, True])
def test_the_log_goes_to_stderr_in_the_form_of_its_reader(
    quiet_root: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    to_journal: bool,
) -> None:
    """Journald is told by its variable; the level cuts off what is below."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if to_journal:
        monkeypatch.setenv("JOURNAL_STREAM", "8:12345")
    setup("warning")
    log = logging.getLogger("sensord.test")
    log.info("hidden")
    log.warning("seen", extra={"n": 1})
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        err == "<4>seen n=1\n" if to_journal else re.fullmatch(r"[\d:]{8} warning seen n=1\n", err)
    )
