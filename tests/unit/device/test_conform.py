"""What leaves here is what the channel declares, and every encoder can write it."""

from __future__ import annotations

import enum
import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sensord.device.conform import MAX_JSON_DEPTH, Rules, conform, infer_type
from sensord.model.readings import GOOD, Level, Quality, Reason, Value, ValueType

OUT_OF_RANGE = Quality(Level.BAD, Reason.OUT_OF_RANGE)
WRONG_TYPE = Quality(Level.BAD, Reason.WRONG_TYPE)
NOT_FINITE = Quality(Level.BAD, Reason.NOT_FINITE)
NO_FIX = Quality(Level.BAD, Reason.NO_FIX)
UNCERTAIN = Quality(Level.UNCERTAIN, Reason.STALE)

FLOAT, INT, BOOL = ValueType.FLOAT, ValueType.INT, ValueType.BOOL
STRING, JSON = ValueType.STRING, ValueType.JSON

any_value: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
any_quality = st.sampled_from([GOOD, UNCERTAIN, NO_FIX])
finite = st.floats(allow_nan=False, allow_infinity=False)
any_rules = st.builds(
    Rules,
    type=st.none() | st.sampled_from(ValueType),
    scale=finite | st.sampled_from([0.1, 0.01, -0.001, 5e-324]),
    offset=finite | st.just(0.0),
    low=st.none() | finite,
    high=st.none() | finite,
    decimals=st.none() | st.integers(0, 12),
)


def nested(depth: int) -> Value:
    """Return a number in that many lists."""
    value: Value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "inferred"),
    [
        (True, BOOL),
        (1, FLOAT),
        (1.5, FLOAT),
        (None, FLOAT),
        ("on", STRING),
        ([1], JSON),
        ({"a": 1}, JSON),
    ],
)
def test_a_type_is_inferred_from_one_value(value: Value, inferred: ValueType) -> None:
    """Every number makes a float, for the next may have decimals."""
    assert infer_type(value) is inferred


@pytest.mark.parametrize("value", [21.5, 7, True, "on", [1, None, "x"], {"a": {"b": 1.5}}])
@pytest.mark.parametrize("quality", [GOOD, UNCERTAIN, NO_FIX])
def test_without_rules_everything_passes(value: Value, quality: Quality) -> None:
    """Value and quality are the same."""
    found = conform(Rules(), value, quality)
    assert found == (value, quality)
    assert type(found[0]) is type(value)


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (FLOAT, 21, 21.0),
        (FLOAT, True, 1.0),
        (FLOAT, "21.5", 21.5),
        (FLOAT, 2**70, 2.0**70),
        (INT, 21.0, 21),
        (INT, True, 1),
        (INT, " 21 ", 21),
        (INT, -(2**63), -(2**63)),
        (BOOL, True, True),
        (BOOL, 1, True),
        (BOOL, 0.0, False),
        (BOOL, " ON ", True),
        (BOOL, "no", False),
        (STRING, "läuft", "läuft"),
        (STRING, True, "true"),
        (STRING, False, "false"),
        (STRING, 21.5, "21.5"),
        (STRING, 7, "7"),
        (JSON, [1, {"a": None}], [1, {"a": None}]),
        (JSON, 7, 7),
    ],
)
def test_a_value_becomes_the_declared_type(
    declared: ValueType, value: Value, expected: Value
) -> None:
    """Where that loses nothing."""
    found = conform(Rules(type=declared), value, GOOD)
    assert found == (expected, GOOD)
    assert type(found[0]) is type(expected)


@pytest.mark.parametrize(
    ("declared", "value", "quality"),
    [
        (FLOAT, "on", WRONG_TYPE),
        (FLOAT, [1], WRONG_TYPE),
        (FLOAT, None, WRONG_TYPE),
        (FLOAT, math.nan, NOT_FINITE),
        (FLOAT, "inf", NOT_FINITE),
        (FLOAT, 10**400, OUT_OF_RANGE),
        (INT, 21.5, WRONG_TYPE),
        (INT, math.inf, NOT_FINITE),
        (INT, 2**63, OUT_OF_RANGE),
        (INT, 1e300, OUT_OF_RANGE),
        (BOOL, 2, WRONG_TYPE),
        (BOOL, "maybe", WRONG_TYPE),
        (BOOL, [True], WRONG_TYPE),
        (STRING, [1], WRONG_TYPE),
        (STRING, "\ud800", WRONG_TYPE),
        (STRING, math.nan, NOT_FINITE),
        (STRING, 10**4000, OUT_OF_RANGE),
        (JSON, {"a": [math.nan]}, NOT_FINITE),
        (JSON, {"a": [2**64]}, OUT_OF_RANGE),
        (JSON, {"\ud800": 1}, WRONG_TYPE),
        (JSON, nested(MAX_JSON_DEPTH + 1), WRONG_TYPE),
        (None, math.inf, NOT_FINITE),
        (None, 2**63, OUT_OF_RANGE),
        (None, "\ud800", WRONG_TYPE),
        (None, None, WRONG_TYPE),
    ],
)
def test_what_cannot_be_made_to_fit_is_bad(
    declared: ValueType | None, value: Value, quality: Quality
) -> None:
    """Its value is gone, its channel shows why."""
    assert conform(Rules(type=declared), value, GOOD) == (None, quality)
    assert conform(Rules(type=declared), value, UNCERTAIN) == (None, quality)


def test_json_may_be_as_deep_as_the_limit() -> None:
    """One level less than is refused."""
    assert conform(Rules(type=JSON), nested(MAX_JSON_DEPTH), GOOD)[1] == GOOD


def test_what_a_careless_decoder_hands_on_is_refused_or_made_plain() -> None:
    """Encoders know no subclasses and no other types."""

    class Level5(enum.IntEnum):
        FIVE = 5

    assert conform(Rules(), Level5.FIVE, GOOD) == (None, WRONG_TYPE)
    value, quality = conform(Rules(type=INT), Level5.FIVE, GOOD)
    assert (type(value), value, quality) == (int, 5, GOOD)
    assert conform(Rules(), b"x", GOOD) == (None, WRONG_TYPE)  # type: ignore[arg-type]  # the point
    assert conform(Rules(), {1: 2}, GOOD) == (None, WRONG_TYPE)  # type: ignore[dict-item]  # the point


@pytest.mark.parametrize("value", [math.nan, "on", None])
def test_what_the_device_called_bad_stays_bad_for_its_reason(value: Value) -> None:
    """Ours is only a consequence."""
    assert conform(Rules(type=FLOAT), value, NO_FIX) == (None, NO_FIX)


@pytest.mark.parametrize(
    ("rules", "value", "expected"),
    [
        (Rules(scale=0.01), 2345, 23.45),
        (Rules(scale=0.01), 2347, 23.47),
        (Rules(scale=0.1), 1001, 100.1),
        (Rules(scale=-0.1), 1001, -100.1),
        (Rules(scale=2.5), 3, 7.5),
        (Rules(scale=0.3), 2, 0.6),
        (Rules(scale=0.1, offset=-40, decimals=1), 634, 23.4),
        (Rules(offset=273), 7, 280),
        (Rules(decimals=2), 21.456, 21.46),
        (Rules(decimals=1), -0.04, 0.0),
        (Rules(decimals=2), 7, 7),
        (Rules(scale=0), 7, 0.0),
        (Rules(type=INT, scale=0.1), 214, 21),
        (Rules(type=INT, decimals=0), 21.4, 21),
        (Rules(scale=1.8, offset=32, decimals=1), "21.5", 70.7),
    ],
)
def test_a_value_is_scaled(rules: Rules, value: Value, expected: float) -> None:
    """To the decimal that is meant."""
    found, quality = conform(rules, value, GOOD)
    assert (found, quality) == (expected, GOOD)
    assert not isinstance(found, float) or math.copysign(1, found) == math.copysign(1, expected)


def test_scaling_can_overflow() -> None:
    """It is not finite then, or no number at all."""
    assert conform(Rules(scale=1e300), 1e300, GOOD) == (None, NOT_FINITE)
    assert conform(Rules(scale=1e300, decimals=2), 1e300, GOOD) == (None, NOT_FINITE)
    assert conform(Rules(offset=0.5), 10**400, GOOD) == (None, OUT_OF_RANGE)


@pytest.mark.parametrize("value", [0.0, 50.0, 100.0, 7, "99.9"])
def test_a_value_in_range_is_good(value: Value) -> None:
    """Both ends are in it."""
    assert conform(Rules(low=0, high=100), value, GOOD)[1] == GOOD


@pytest.mark.parametrize(("value", "kept"), [(-0.1, -0.1), (100.1, 100.1), ("101", 101)])
def test_a_value_out_of_range_is_bad_and_kept(value: Value, kept: float) -> None:
    """People want to see how far it was off."""
    assert conform(Rules(low=0, high=100), value, GOOD) == (kept, OUT_OF_RANGE)
    assert conform(Rules(low=0, high=100), value, UNCERTAIN) == (kept, OUT_OF_RANGE)
    assert conform(Rules(low=0, high=100), value, NO_FIX) == (kept, NO_FIX)


@pytest.mark.parametrize("rules", [Rules(low=0), Rules(high=0)])
def test_a_range_may_have_one_end(rules: Rules) -> None:
    """The other is open."""
    qualities = {conform(rules, value, GOOD)[1] for value in (-1e300, 1e300)}
    assert qualities == {GOOD, OUT_OF_RANGE}


@given(any_rules, any_value, any_quality)
def test_what_leaves_can_be_encoded_and_is_of_its_type(
    rules: Rules, value: Value, quality: Quality
) -> None:
    """Whatever came in; and nothing gets better on the way."""
    found, judged = conform(rules, value, quality)
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    assert judged.level >= quality.level
    if found is None:
        assert judged.level is Level.BAD
    elif rules.type not in {None, JSON}:
        expected = {FLOAT: float, INT: int, BOOL: bool, STRING: str}
        assert rules.type is not None
        assert type(found) is expected[rules.type]
    if type(found) is int:
        assert -(2**63) <= found < 2**63


@given(st.integers(-(10**9), 10**9), st.integers(1, 6))
def test_a_decimal_scale_gives_the_decimal_that_is_written(raw: int, decimals: int) -> None:
    """The number that a person would type."""
    scaled, _ = conform(Rules(scale=10**-decimals), raw, GOOD)
    assert scaled == float(f"{raw}e-{decimals}")


@given(finite, st.integers(0, 6))
def test_declared_decimals_are_kept(value: float, decimals: int) -> None:
    """Rounding again changes nothing."""
    rounded, _ = conform(Rules(decimals=decimals), value, GOOD)
    assert isinstance(rounded, float)
    assert conform(Rules(decimals=decimals), rounded, GOOD)[0] == rounded
    assume(abs(value) < 1e9)
    assert abs(rounded - value) <= 0.5000001 * 10**-decimals


@pytest.mark.parametrize("value", [2**53 + 1, 10**23, 2882429806056571124, -(2**53) - 1])
def test_an_integer_that_no_float_is_is_not_called_good_as_one(value: int) -> None:
    """It is as near as a float comes, and says so."""
    rounded, quality = conform(Rules(FLOAT), value, GOOD)
    assert rounded == float(value)
    assert quality == Quality(Level.UNCERTAIN, Reason.INEXACT)


def test_an_integer_that_came_as_a_long_float_is_not_called_good() -> None:
    """Its last digits were lost on the way."""
    assert conform(Rules(INT), 9007199254740994.0, GOOD) == (
        9007199254740994,
        Quality(Level.UNCERTAIN, Reason.INEXACT),
    )


@pytest.mark.parametrize(
    ("value", "type_"), [(2**53, FLOAT), (2**53 + 1, INT), (-(2**60) - 1, INT), (2**60, FLOAT)]
)
def test_an_undeclared_integer_that_no_float_is_makes_an_integer(
    value: int, type_: ValueType
) -> None:
    """Every other number makes a float."""
    assert infer_type(value) is type_


@pytest.mark.parametrize(
    ("rules", "value"), [({}, 9007199254740992.0), ({"scale": 2.0}, 2**53 + 1)]
)
def test_a_whole_number_that_went_through_a_float_is_not_called_good(
    rules: dict[str, float], value: float
) -> None:
    """9007199254740993.0 is read as the float before it."""
    _, quality = conform(Rules(type=ValueType.INT, **rules), value, GOOD)  # type: ignore[arg-type]  # scales
    assert quality.reason == Reason.INEXACT
