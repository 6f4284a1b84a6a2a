"""An order and its report survive the way between hub and gateway; anything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import Value
from sensord.uplinks.orders import Order, Report

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES: st.SearchStrategy[Value] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
)


@given(
    st.builds(
        Order,
        st.sampled_from(["set", "call"]),
        TEXTS,
        st.dictionaries(TEXTS, VALUES),
        TEXTS,
        st.floats(0.01, 600),
        TEXTS,
        TEXTS,
        TEXTS,
    )
)
def test_an_order_is_read_as_it_was_written(order: Order) -> None:
    """Arguments, key and client alike."""
    assert Order.read(order.write()) == order


@given(st.builds(Report, VALUES, TEXTS, TEXTS, st.booleans()))
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    """Also one that may have acted."""
    assert Report.read(report.write()) == report


GOOD = json.loads(Order("set", "a/b", {"value": 1}, "k", 1.0, "me", "there", "").write())


@pytest.mark.parametrize(
    "changed",
    [
        {"what": "erase"},
        {"args": [1]},
        {"name": None},
        {"key": "k" * 200},
        {"timeout_s": 0},
        {"timeout_s": 1e9},
        {"timeout_s": True},
        {"more": 1},
    ],
)
def test_what_is_no_order_is_refused(changed: dict[str, Any]) -> None:
    """Before anything acts."""
    with pytest.raises(ValueError, match=r"order|what|text|timeout_s"):
        Order.read(json.dumps(GOOD | changed).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"value": 1}',
        b'{"value": 1, "reason": 1, "message": "", "may_have_acted": true}',
        b'{"value": 1, "reason": "", "message": "", "may_have_acted": 1}',
    ],
)
def test_what_is_no_report_is_refused(data: bytes) -> None:
    """It is then unknown whether the gateway acted."""
    with pytest.raises(ValueError, match=r"report|reason|may_have_acted"):
        Report.read(data)
