"""JSON messages: every leaf, or the paths that are named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Fault, Sample
from sensord.decode.json_paths import (
    BAD_TIME,
    MAX_DEPTH,
    MAX_SAMPLES,
    NOT_JSON,
    PARTLY_FINITE,
    PATH_MISSING,
    SAME_NAME,
    TOO_DEEP,
    Config,
    Decoder,
    Named,
    TimeUnit,
    parse_path,
)
from sensord.decode.text import NOT_FINITE, TOO_MANY_VALUES
from sensord.model.topics import topic_fault
from tests.unit.decode.streams import config_faults

JULY_US = 1_215_252_000_000_000
"""2008-07-05T10:00:00Z."""

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def every_leaf(message: bytes) -> list[Sample]:
    """Decode without options; there are no faults."""
    samples, faults = Decoder(Config()).decode(message)
    assert faults == []
    return samples


def test_every_leaf_is_named_by_its_path() -> None:
    """Objects by keys, arrays by indexes."""
    message = b'{"env": {"t": 21.5, "on": true}, "probes": [{"v": 1}, "x"]}'
    assert every_leaf(message) == [
        Sample("env/t", 21.5),
        Sample("env/on", value=True),
        Sample("probes/0/v", 1),
        Sample("probes/1", "x"),
    ]


@pytest.mark.parametrize(("message", "value"), [(b"21.5", 21.5), (b' "on" ', "on")])
def test_a_bare_value_is_called_value(message: bytes, value: float | str) -> None:
    """It has no path to be named by."""
    assert every_leaf(message) == [Sample("value", value)]


@pytest.mark.parametrize("message", [b"null", b'{"a": null}', b"[]", b"{}", b'{"a": []}'])
def test_null_and_empty_are_no_values(message: bytes) -> None:
    """They give no sample."""
    assert every_leaf(message) == []


def test_keys_become_levels_of_a_topic() -> None:
    """What a topic may not hold is replaced."""
    assert every_leaf(b'{"": {"a/b#": 1}}') == [Sample("_/a_b_", 1)]


def test_of_two_equal_keys_the_last_counts() -> None:
    """The format leaves it open; so do most parsers."""
    assert every_leaf(b'{"a": 1, "a": 2}') == [Sample("a", 2)]


@pytest.mark.parametrize("word", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_what_is_not_finite_is_a_bad_sample(word: bytes) -> None:
    """JSON does not have it; devices send it all the same."""
    assert every_leaf(b'{"a": ' + word + b"}") == [Sample("a", None, NOT_FINITE)]


def test_a_lone_surrogate_is_replaced_and_a_pair_is_kept() -> None:
    """What leaves here can be encoded."""
    samples = every_leaf(b'{"a": "x\\ud800", "b": "\\ud83d\\ude00", "c\\udc00": 1}')
    assert samples == [Sample("a", "x\ufffd"), Sample("b", "😀"), Sample("c_", 1)]


def test_a_huge_integer_is_kept_as_it_is() -> None:
    """Whether it fits is for the channel to say."""
    assert every_leaf(b'{"a": 123456789012345678901234567890}') == [
        Sample("a", 123456789012345678901234567890)
    ]


@pytest.mark.parametrize(
    "message", [b"{", b"{'a': 1}", b'{"a": 1} x', b'"\xff"', b'{"a": 1', b"Booting", b"{a: 1}"]
)
def test_what_is_not_json_is_a_fault(message: bytes) -> None:
    """Bad UTF-8, what was cut off and a line of a log included."""
    assert Decoder(Config()).decode(message) == ([], [Fault(NOT_JSON, message[:80])])


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_what_is_nested_too_deep_is_a_fault(depth: int) -> None:
    """At any depth, also one that the parser gives up at."""
    message = b"[" * depth + b"]" * depth
    assert Decoder(Config()).decode(message) == ([], [Fault(TOO_DEEP, message[:80])])


def test_a_deep_part_spares_the_others() -> None:
    """The rest of the message is used, and the fault is one."""
    deep = b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH
    samples, faults = Decoder(Config()).decode(b'{"a": 1, "b": ' + deep + b', "c": ' + deep + b"}")
    assert samples == [Sample("a", 1)]
    assert [fault.reason for fault in faults] == [TOO_DEEP]


def test_one_message_opens_a_bounded_number_of_channels() -> None:
    """The values past the limit are one fault."""
    samples, faults = Decoder(Config()).decode(json.dumps([1] * (MAX_SAMPLES + 5)).encode())
    assert len(samples) == MAX_SAMPLES
    assert [fault.reason for fault in faults] == [TOO_MANY_VALUES]


def test_named_paths_are_taken_and_nothing_else() -> None:
    """Keys, indexes and quoted keys."""
    fields = {"t": "env.temp", "second": "probes[1].v", "dotted": '["a.b"].c', "first": "row[0][1]"}
    message = b"""{"env": {"temp": 21.5, "hum": 40}, "probes": [{"v": 1}, {"v": 2}],
        "a.b": {"c": 3}, "row": [[7, 8]]}"""
    assert Decoder(Config(fields=fields)).decode(message) == (
        [Sample("t", 21.5), Sample("second", 2), Sample("dotted", 3), Sample("first", 8)],
        [],
    )


@pytest.mark.parametrize(
    "message", [b'{"env": 1}', b'{"env": {"temp": null}}', b"[1]", b"5", b'{"env": []}']
)
def test_a_missing_path_is_no_fault_unless_required(message: bytes) -> None:
    """Devices leave out what they did not measure."""
    fields = {"t": "env.temp"}
    assert Decoder(Config(fields=fields)).decode(message) == ([], [])
    found = Decoder(Config(fields=fields, required=True)).decode(message)
    assert found == ([], [Fault(PATH_MISSING, message)])


def test_an_index_past_the_end_is_missing() -> None:
    """Like a key that is not there."""
    assert Decoder(Config(fields={"a": "[2]"})).decode(b"[1, 2]") == ([], [])


def test_a_path_may_lead_to_a_whole_structure() -> None:
    """It is one value; a dot stands for the message."""
    message = b'{"a": [1, {"b": "x", "n": null}]}'
    fields = {"part": "a", "all": "."}
    assert Decoder(Config(fields=fields)).decode(message).samples == [
        Sample("part", [1, {"b": "x", "n": None}]),
        Sample("all", {"a": [1, {"b": "x", "n": None}]}),
    ]


def test_a_structure_that_is_not_finite_everywhere_is_uncertain() -> None:
    """What is not becomes null, the rest stands; the next structure is judged anew."""
    message = b'{"a": [1.5, NaN], "b": [2.5], "c": {"x\\ud800": "y\\ud800"}}'
    fields = {"a": "a", "b": "b", "c": "c"}
    assert Decoder(Config(fields=fields)).decode(message).samples == [
        Sample("a", [1.5, None], PARTLY_FINITE),
        Sample("b", [2.5]),
        Sample("c", {"x\ufffd": "y\ufffd"}),
    ]


def test_a_structure_is_cut_where_it_is_too_deep() -> None:
    """With a fault."""
    deep = b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2)
    samples, faults = Decoder(Config(fields={"a": "."})).decode(deep)
    assert len(json.dumps(samples[0].value)) < 100
    assert [fault.reason for fault in faults] == [TOO_DEEP]


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("s", "1215252000"),
        ("s", "1215252000.0"),
        ("s", '"1215252000"'),
        ("ms", "1215252000000"),
        ("us", "1215252000000000"),
        ("iso8601", '"2008-07-05T10:00:00Z"'),
        ("iso8601", '"2008-07-05T12:00:00+02:00"'),
        ("iso8601", '"2008-07-05 10:00:00"'),
    ],
)
def test_the_source_time_goes_with_every_sample(unit: str, time: str) -> None:
    """It is not a reading of its own."""
    config = Config(time="meta.at", time_unit=TimeUnit(unit))
    message = f'{{"meta": {{"at": {time}, "seq": 7}}, "t": 21.5}}'.encode()
    assert Decoder(config).decode(message) == (
        [Sample("meta/seq", 7, time_us=JULY_US), Sample("t", 21.5, time_us=JULY_US)],
        [],
    )


def test_fractions_of_a_second_are_kept_to_the_microsecond() -> None:
    """A float of seconds has just enough digits for that."""
    config = Config(fields={"t": "t"}, time="at")
    (sample,) = Decoder(config).decode(b'{"at": 1215252000.123456, "t": 1}').samples
    assert sample.time_us == JULY_US + 123_456


@pytest.mark.parametrize(
    ("unit", "time"),
    [
        ("s", "true"),
        ("s", '"noon"'),
        ("s", "NaN"),
        ("s", "-1"),
        ("s", "1e300"),
        ("s", "1215252000000"),
        ("s", "[1]"),
        ("iso8601", "1215252000"),
        ("iso8601", '"yesterday"'),
        ("iso8601", '"1969-12-31T23:59:59Z"'),
        ("iso8601", '"0001-01-01T00:00:00+23:59"'),
    ],
)
def test_a_bad_time_is_a_fault_and_the_values_are_used(unit: str, time: str) -> None:
    """They get the time of arrival."""
    message = f'{{"at": {time}, "t": 1}}'.encode()
    config = Config(fields={"t": "t"}, time="at", time_unit=TimeUnit(unit))
    assert Decoder(config).decode(message) == ([Sample("t", 1)], [Fault(BAD_TIME, message)])


def test_a_missing_time_is_no_fault_unless_required() -> None:
    """The time of arrival counts then."""
    message = b'{"t": 1}'
    assert Decoder(Config(time="at")).decode(message) == ([Sample("t", 1)], [])
    found = Decoder(Config(time="at", required=True)).decode(message)
    assert found == ([Sample("t", 1)], [Fault(PATH_MISSING, message)])


def test_json_has_no_metadata() -> None:
    """Units come from the configuration."""
    assert Decoder(Config()).metadata("t") is None


def assert_encodable(value: Any) -> None:
    """Assert that every client can be sent a value."""
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@given(st.binary(max_size=100) | documents.map(lambda document: json.dumps(document).encode()))
def test_no_message_raises_and_what_comes_out_can_be_encoded(message: bytes) -> None:
    """Whatever the bytes: fields make topics, values are finite and of UTF-8."""
    for config in (Config(), Config(fields={"all": ".", "first": "[0]", "a": "a"}, time="[0]")):
        for sample in Decoder(config).decode(message).samples:
            assert topic_fault(sample.field) is None
            assert_encodable(sample.value)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.floats()))
def test_each_number_of_an_object_comes_out(document: dict[str, float]) -> None:
    """As it is, or as a bad sample."""
    samples = every_leaf(json.dumps(document).encode())
    assert [sample.field for sample in samples] == list(document)
    for sample, value in zip(samples, document.values(), strict=True):
        assert sample.value == (value if math.isfinite(value) else None)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        (".", ()),
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ("[0][1]", (0, 1)),
        ('["a.b"].c', ("a.b", "c")),
        ('a[""]', ("a", "")),
    ],
)
def test_paths_have_steps(path: str, steps: tuple[str | int, ...]) -> None:
    """Dots part keys, brackets hold indexes and quoted keys."""
    assert parse_path(path) == steps


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "[x]", "[0]a", "a[", "[-1]", "[0].[1]"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """A slip is not read as another path."""
    assert parse_path(path) is None


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"fields": {"a+": "a"}}, 'fields: "a+": a topic may not contain the wildcards + and #'),
        (
            {"fields": {"a": "a..b"}},
            'fields: "a..b" is not a path such as env.temperature or probes[0].value',
        ),
        ({"time": "a."}, "time: is not a path such as meta.time"),
        (
            {"time_unit": "min"},
            'time_unit: expected one of "s", "ms", "us", "iso8601", got "min"',
        ),
    ],
)
def test_unusable_options_are_refused(table: dict[str, object], fault: str) -> None:
    """The fault names the key and what to do."""
    assert config_faults(Config, table) == [fault]


def test_usable_options_are_accepted() -> None:
    """Fields, a time and its unit."""
    table = {"fields": {"a": "x.y"}, "time": "at", "time_unit": "iso8601", "required": True}
    assert config_faults(Config, table) == []


def test_values_are_taken_from_the_part_that_is_named() -> None:
    """The time may stand elsewhere."""
    config = Config(root="up.payload", time="at")
    decoder = Decoder(config)
    found = decoder.decode(b'{"at": 5, "up": {"payload": {"t": 21.5, "x": {"y": 1}}, "n": 3}}')
    assert [(one.field, one.value, one.time_us) for one in found.samples] == [
        ("t", 21.5, 5_000_000),
        ("x/y", 1, 5_000_000),
    ]
    assert Decoder(config).decode(b'{"at": 5}').samples == []
    required = Decoder(Config(root="up.payload", required=True))
    assert [one.reason for one in required.decode(b"{}").faults] == [PATH_MISSING]


def test_an_array_of_named_values_is_read_by_its_names() -> None:
    """Whatever their order; a unit is converted to the channel's."""
    named = Named("list", "n", "v.x", "u")
    message = (
        b'{"list": [{"n": "temp", "v": {"x": "6.9"}, "u": "C"}, {"n": "a/b", "v": {"x": 1}},'
        b' {"v": 5}, 7, {"n": "c", "u": "?", "v": {"x": 2}}]}'
    )
    found = Decoder(Config(named=named)).decode(message)
    assert [(one.field, one.value, one.unit) for one in found.samples] == [
        ("temp", "6.9", "Cel"),
        ("a_b", 1, None),
        ("c", 2, "?"),
    ]
    assert Decoder(Config(named=named)).decode(b'{"list": 5}').samples == []


def test_a_text_that_is_json_is_read_as_such() -> None:
    """One that is not is a fault, and stays a text."""
    decoder = Decoder(Config(parse=("payload", "none")))
    found = decoder.decode(b'{"payload": "{\\"t\\": 21.5}", "n": 1}')
    assert [(one.field, one.value) for one in found.samples] == [("payload/t", 21.5), ("n", 1)]
    found = decoder.decode(b'{"payload": "{"}')
    assert [one.reason for one in found.faults] == [NOT_JSON]
    assert [one.value for one in found.samples] == ["{"]


def test_two_keys_that_become_one_name_share_no_channel() -> None:
    """Their values alternated in it, all good."""
    found = Decoder(Config()).decode(b'{"a/b": 1, "a_b": 2, "c": 3}')
    assert [(one.field, one.value) for one in found.samples] == [("a_b", 1), ("c", 3)]
    assert [one.reason for one in found.faults] == [SAME_NAME]
