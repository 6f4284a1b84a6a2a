"""What a session may do, and what is left of its filters."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.access.rights import EVERYTHING, NOTHING, Rights, both
from sensord.model.topics import matches

LEVEL = st.sampled_from(["a", "b", "$sys"])
TOPIC = st.lists(LEVEL, min_size=1, max_size=4).map("/".join)
FILTER = st.builds(
    lambda levels, end: "/".join([*levels, *end]) or "#",
    st.lists(st.sampled_from(["a", "b", "$sys", "+"]), max_size=3),
    st.sampled_from([[], ["#"]]),
)
RIGHTS = st.builds(Rights, read=st.lists(FILTER, max_size=4).map(tuple))


@given(FILTER, FILTER, TOPIC)
def test_an_intersection_matches_what_both_match(one: str, other: str, topic: str) -> None:
    """No more and no less, with # and + and $ wherever they are."""
    common = both(one, other)
    found = common is not None and matches(common, topic)
    assert found is (matches(one, topic) and matches(other, topic))


@given(st.lists(FILTER, min_size=1, max_size=4), RIGHTS, TOPIC)
def test_narrowed_filters_match_what_was_asked_and_is_allowed(
    asked: list[str], rights: Rights, topic: str
) -> None:
    """So a session sees exactly that."""
    wanted = any(matches(one, topic) for one in asked) and rights.allows("read", topic)
    assert any(matches(one, topic) for one in rights.narrowed(asked)) is wanted


def test_equal_rights_leave_equal_filters() -> None:
    """Whatever more a session has asked for, so their groups are shared."""
    rights = Rights(read=("plant/#",))
    assert rights.narrowed(["#"]) == rights.narrowed(["plant/#", "#"]) == ("plant/#",)
    assert rights.narrowed(["plant/boiler/+"]) == ("plant/boiler/+",)
    assert rights.narrowed(["house/#"]) == ()
    assert EVERYTHING.narrowed(["#", "$sys/#"]) == ("#", "$sys/#")


def test_a_wildcard_is_no_right_to_what_the_daemon_says_of_itself() -> None:
    """As `#` does not match it in a subscription."""
    assert not Rights(read=("#",)).covers("$sys/#")
    assert not Rights(read=("#",)).allows("read", "$audit/set")
    assert EVERYTHING.allows("write", "$sys/x")


def test_rights_name_their_actions_and_their_faults() -> None:
    """For presence, and for a configuration."""
    rights = Rights(read=("a",), call=("#", "a#"))
    assert rights.actions == ("read", "call")
    assert [action for action, _ in rights.faults()] == ["call"]
    assert NOTHING.is_empty
    assert not EVERYTHING.is_empty
