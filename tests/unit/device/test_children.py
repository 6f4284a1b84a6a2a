"""The devices behind a connection: when they appear, and who reports them as away."""

from __future__ import annotations

from sensord.device.children import Children


def test_a_device_is_known_from_its_first_message() -> None:
    """At most as many as configured; the others are counted."""
    children = Children(2)
    one = children.find("a", 5)
    assert one is not None
    assert (one.since_us, one.is_news, children.find("a", 9)) == (5, True, one)
    assert children.find("b", 6) is not None
    assert children.find("c", 7) is None
    assert (len(children), children.refused) == (2, 1)


def test_a_device_that_is_reported_as_away_is_news_once() -> None:
    """By a topic that it depends on, and no other."""
    children = Children(9)
    for name in "ab":
        child = children.find(name, 1)
        assert child is not None
        children.heard(child, [f"up/{name}", "bridge"], 2, 3)
        child.is_news = False
    children.report("up/a", 10, is_there=False)
    assert [(one.name, one.is_away, one.is_news, one.since_us) for one in children] == [
        ("a", True, True, 10),
        ("b", False, False, 1),
    ]
    children.report("other", 11, is_there=False)
    children.report("bridge", 12, is_there=True)
    assert [(one.is_away, one.messages, one.readings, one.last_us) for one in children] == [
        (False, 1, 2, 3),
        (False, 1, 2, 3),
    ]
