"""Topics and filters are well formed or refused, and match as MQTT says."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.model.topics import (
    MAX_LEVELS,
    MAX_TOPIC_CHARACTERS,
    FilterTree,
    TopicTree,
    can_make,
    expand,
    filter_fault,
    matches,
    pattern_fault,
    topic_fault,
)

levels = st.sampled_from(["a", "b", "x y", "$a", "ü", "-"])
topics = st.lists(levels, min_size=1, max_size=4).map("/".join)
filters = st.builds(
    lambda names, rest: "/".join([*names, *rest]),
    st.lists(st.one_of(levels, st.just("+")), min_size=1, max_size=4),
    st.sampled_from([[], [], ["#"]]),
) | st.just("#")


def matched(pattern: str, topic: str) -> bool:
    """Say the rules of MQTT 5.0, section 4.7, once more, level by level."""
    if topic.startswith("$") and pattern[0] in "+#":
        return False
    wanted, given_levels = pattern.split("/"), topic.split("/")
    while wanted and wanted != ["#"]:
        if not given_levels or wanted[0] not in {"+", given_levels[0]}:
            return False
        wanted, given_levels = wanted[1:], given_levels[1:]
    return wanted == ["#"] or not given_levels


# -- what is well formed ---------------------------------------------------------------------------


@given(topics)
def test_a_well_formed_topic_is_a_well_formed_filter(topic: str) -> None:
    """It selects exactly itself."""
    assert topic_fault(topic) is None
    assert filter_fault(topic) is None
    assert matches(topic, topic)


@given(filters)
def test_well_formed_filters_are_accepted(pattern: str) -> None:
    """Whatever the wildcards."""
    assert filter_fault(pattern) is None


@pytest.mark.parametrize(
    ("topic", "fault"),
    [
        ("", "empty"),
        ("/a", "empty"),
        ("a/", "empty"),
        ("a//b", "empty"),
        ("a/+", "wildcards"),
        ("a/#", "wildcards"),
        ("a+b", "wildcards"),
        ("a\nb", "control characters"),
        ("a/\x00", "control characters"),
        ("\ud800", "control characters"),
        ("x" * (MAX_TOPIC_CHARACTERS + 1), "256 characters"),
        ("/".join("x" * (MAX_LEVELS + 1)), "16 levels"),
    ],
)
def test_what_is_wrong_with_a_topic_is_said(topic: str, fault: str) -> None:
    """In words that an operator can act upon."""
    assert fault in (topic_fault(topic) or "")


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("", "empty"),
        ("a//#", "empty"),
        ("#/a", "last level"),
        ("a/#/b", "last level"),
        ("#/#", "last level"),
        ("a#", "stand alone"),
        ("a/b+", "stand alone"),
        ("++", "stand alone"),
        ("a/##", "stand alone"),
        ("+\t", "stand alone"),
        ("a\tb/+", "control characters"),
        ("x" * (MAX_TOPIC_CHARACTERS + 1), "256 characters"),
        ("/".join("+" * (MAX_LEVELS + 1)), "16 levels"),
    ],
)
def test_what_is_wrong_with_a_filter_is_said(pattern: str, fault: str) -> None:
    """In words that the author of a monitor can act upon."""
    assert fault in (filter_fault(pattern) or "")


def test_the_limits_themselves_are_allowed() -> None:
    """As long and as deep as documented."""
    assert topic_fault("x" * MAX_TOPIC_CHARACTERS) is None
    assert topic_fault("/".join("x" * MAX_LEVELS)) is None


@given(st.text(max_size=12))
def test_no_text_makes_a_check_raise(text: str) -> None:
    """It is well formed or has a fault; a topic that is well formed is a filter too."""
    if topic_fault(text) is None:
        assert filter_fault(text) is None
    pattern_fault(text)


# -- matching --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "topic", "is_selected"),
    [
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("+", "a", True),
        ("+", "a/b", False),
        ("a/+", "a", False),
        ("+/b", "a/b", True),
        ("a/+/c", "a/b/c", True),
        ("+/#", "a", True),
        ("a/+/#", "a", False),
        ("a/b", "a/c", False),
        ("#", "$sys/x", False),
        ("+/x", "$sys/x", False),
        ("$sys/#", "$sys/x", True),
        ("$sys/+", "$sys/x", True),
        ("a/#", "a/$b", True),
        ("a/+", "a/$b", True),
    ],
)
def test_filters_select_as_in_mqtt(pattern: str, topic: str, is_selected: bool) -> None:
    """The examples of the standard, and the dollar's."""
    assert matches(pattern, topic) is is_selected


@given(filters, topics)
def test_matching_keeps_to_the_rules(pattern: str, topic: str) -> None:
    """Written down twice, they say the same."""
    assert matches(pattern, topic) is matched(pattern, topic)


@given(st.lists(filters, max_size=8), topics)
def test_a_filter_tree_finds_what_matching_one_by_one_finds(
    patterns: list[str], topic: str
) -> None:
    """Each pair that was added, as often as it was added."""
    tree: FilterTree[int] = FilterTree()
    for number, pattern in enumerate(patterns):
        tree.add(pattern, number)
    found = sorted(tree.match(topic))
    assert found == [i for i, pattern in enumerate(patterns) if matches(pattern, topic)]


@given(st.lists(filters, min_size=1, max_size=8), st.data(), topics)
def test_a_filter_that_was_removed_is_not_found(
    patterns: list[str], data: st.DataObject, topic: str
) -> None:
    """The others are, and a tree that was emptied holds nothing."""
    tree: FilterTree[int] = FilterTree()
    for number, pattern in enumerate(patterns):
        tree.add(pattern, number)
    order = data.draw(st.permutations(range(len(patterns))))
    middle = data.draw(st.integers(0, len(order)))
    for number in order[:middle]:
        tree.remove(patterns[number], number)
    left = sorted(order[middle:])
    assert sorted(tree.match(topic)) == [i for i in left if matches(patterns[i], topic)]
    for number in left:
        tree.remove(patterns[number], number)
    assert not tree._root.children


def test_the_same_pair_may_be_added_twice() -> None:
    """Each removal takes back one of them."""
    tree: FilterTree[str] = FilterTree()
    tree.add("a/+", "x")
    tree.add("a/+", "x")
    assert list(tree.match("a/b")) == ["x", "x"]
    tree.remove("a/+", "x")
    assert list(tree.match("a/b")) == ["x"]


@pytest.mark.parametrize(("pattern", "item"), [("b", "x"), ("a/b", "x"), ("a", "y")])
def test_what_was_not_added_cannot_be_removed(pattern: str, item: str) -> None:
    """Taking back what is not there is a fault of the caller."""
    tree: FilterTree[str] = FilterTree()
    tree.add("a", "x")
    with pytest.raises((KeyError, ValueError)):
        tree.remove(pattern, item)
    assert list(tree.match("a")) == ["x"]


@given(st.lists(topics, max_size=8), filters)
def test_a_topic_tree_finds_what_matching_one_by_one_finds(known: list[str], pattern: str) -> None:
    """Each topic that was added, once."""
    tree: TopicTree[int] = TopicTree()
    for number, topic in enumerate(known):
        tree.add(topic, number)
    found = sorted(tree.match(pattern))
    assert found == [i for i, topic in enumerate(known) if matches(pattern, topic)]


@given(st.lists(topics, max_size=12), st.lists(filters, max_size=6))
def test_many_filters_at_once_find_what_each_of_them_finds(
    known: list[str], patterns: list[str]
) -> None:
    """Each topic once, however many filters select it."""
    tree: TopicTree[int] = TopicTree()
    for number, topic in enumerate(known):
        tree.add(topic, number)
    found = sorted(tree.match_any(patterns))
    assert found == [
        i for i, topic in enumerate(known) if any(matches(one, topic) for one in patterns)
    ]


@pytest.mark.parametrize("patterns", [["#"], ["+/+/x", "a/#", "+/b/+"], ["+/+/+", "+/b/x"]])
def test_hundreds_of_filters_cost_no_more_than_one(patterns: list[str]) -> None:
    """Each topic is looked at once: counted in calls, for time says nothing on a busy machine."""
    tree: TopicTree[int] = TopicTree()
    for number in range(2000):
        tree.add(f"a/{number}/x", number)
    many = [*patterns, *(f"+/{name}/{other}" for name in "abcde" for other in range(100))]
    calls = 0

    def count(_frame: object, event: str, _arg: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        found = sum(1 for _ in tree.match_any(many))
    finally:
        sys.setprofile(None)
    assert found == 2000
    assert calls < 10 * 2000 + 40 * len(many)


def test_topics_may_be_added_while_many_filters_are_matched() -> None:
    """What is being read in pieces goes on."""
    tree: TopicTree[int] = TopicTree()
    for number in range(100):
        tree.add(f"a/{number}", number)
    found = []
    for number in tree.match_any(["+/+", "a/b"]):
        found.append(number)
        tree.add(f"a/x{len(found)}", 1000)
        tree.add(f"x{len(found)}/a", 1000)
    assert sorted(n for n in found if n < 1000) == [*range(100)]


# -- patterns --------------------------------------------------------------------------------------


def test_placeholders_are_filled_in() -> None:
    """Each wherever it stands, and what is filled in is left as it is."""
    values = {"device": "{field}", "field": "t", "1": "x"}
    assert expand("plant/{device}-{1}/{field}", values) == "plant/{field}-x/t"


def test_a_placeholder_without_a_value_is_an_error() -> None:
    """The caller says what that means."""
    with pytest.raises(KeyError):
        expand("{1}", {"device": "d"})


@pytest.mark.parametrize(
    "pattern", ["a", "{device}/{field}", "a/{1}/{12}", "x{source}y", "{field}{field}"]
)
def test_patterns_that_make_topics_are_accepted(pattern: str) -> None:
    """With any of the known placeholders."""
    assert pattern_fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("{devise}", "unknown placeholder {devise}; known are {device}"),
        ("{}", "unknown placeholder {}"),
        ("{0}", "unknown placeholder {0}"),
        ("{-1}", "unknown placeholder {-1}"),
        ("a/{field", "is written {field}"),
        ("a{b/c", "is written {field}"),
        ("{{field}}", "is written {field}"),
        ("a}b", "is written {field}"),
        ("{field}/+", "wildcards"),
        ("{field}/", "empty"),
        ("$sys/{field}", "sensord's own"),
        ("$x", "sensord's own"),
        ("", "empty"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_said(pattern: str, fault: str) -> None:
    """Before a device has sent anything."""
    assert fault in (pattern_fault(pattern) or "")


@pytest.mark.parametrize(
    ("pattern", "topic", "can"),
    [
        ("{device}/{field}", "oven/a", True),
        ("{device}/{field}", "oven", False),
        ("house/{1}/pump", "house/cellar/pump", True),
        ("house/{1}/pump", "house//pump", False),
        ("a.b/{field}", "a-b/x", False),
        ("{source}", "a/b/c", True),
        ("plain", "plain", True),
    ],
)
def test_which_topics_a_pattern_can_make(pattern: str, topic: str, *, can: bool) -> None:
    """For some values of its placeholders."""
    assert can_make(pattern, topic) is can
