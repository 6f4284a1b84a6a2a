"""What keys and arrivals change in the model of `sensord monitor`."""

from __future__ import annotations

from typing import Any

from sensord.model.readings import Channel, Level, Metadata, Quality, Reading, Value
from sensord.terminal import monitor as module
from sensord.terminal.monitor import Monitor, Sort, View
from sensord.terminal.rows import MAX_PAST, SPARK_CELLS, Past
from sensord.terminal.wishes import Acknowledge, Look, Quit, Shelve, Unshelve

NOW_US = 1_795_262_400_000_000
S_US = 10**6


def put(
    monitor: Monitor,
    topic: str,
    value: Value = 1.0,
    *,
    ago_s: float = 0,
    level: Level = Level.GOOD,
    reason: str = "",
    restates: bool = False,
) -> None:
    time_us = NOW_US - round(ago_s * S_US)
    channel = Channel(0, topic, Metadata(unit="Cel", decimals=1))
    reading = Reading(time_us, value, Quality(level, reason), restates)
    monitor.reading(channel, reading, time_us)


def filled() -> Monitor:
    monitor = Monitor("ws://x")
    put(monitor, "plant/boiler", 61.0, ago_s=3)
    put(monitor, "plant/pump", 2.0, ago_s=1, level=Level.BAD, reason="stale")
    put(monitor, "weather/wind", 5.0, ago_s=2)
    return monitor


def alarm(**more: Any) -> dict[str, Any]:
    return {"state": "raised", "priority": "high", "since_us": NOW_US, "topic": "a/b", **more}


def keys(monitor: Monitor, *pressed: str) -> object:
    found: object = None
    for key in pressed:
        found = monitor.press(key, NOW_US)
    return found


def shown(monitor: Monitor, view: View = View.VALUES) -> list[str]:
    return monitor.entries(view, NOW_US)


def test_the_filter_works_while_it_is_typed() -> None:
    """Words in any order, of the topic or of the quality; Enter keeps it, Escape ends it."""
    monitor = filled()
    keys(monitor, "/", "p", "l")
    assert shown(monitor) == ["plant/boiler", "plant/pump"]
    keys(monitor, *" stale")
    assert shown(monitor) == ["plant/pump"]
    keys(monitor, "enter", "s")
    assert monitor.sort is Sort.WORST
    assert shown(monitor) == ["plant/pump"]
    keys(monitor, "escape")
    assert len(shown(monitor)) == 3


def test_a_filter_of_mqtt_is_one_here_too() -> None:
    """`+` and `#` have their meaning, once the filter is whole."""
    monitor = filled()
    keys(monitor, "/", *"+/pump")
    assert shown(monitor) == ["plant/pump"]


def test_keys_of_a_filter_are_text() -> None:
    """A `q` in it ends nothing."""
    monitor = filled()
    assert keys(monitor, "/", "q") is None
    assert monitor.pattern == "q"
    assert isinstance(keys(monitor, "interrupt"), Quit)


def test_the_values_are_sorted() -> None:
    """By topic, the worst, the newest and the oldest first."""
    monitor = filled()
    orders = [shown(monitor)]
    for _ in range(3):
        keys(monitor, "s")
        orders.append(shown(monitor))
    assert orders == [
        ["plant/boiler", "plant/pump", "weather/wind"],
        ["plant/pump", "plant/boiler", "weather/wind"],
        ["plant/pump", "weather/wind", "plant/boiler"],
        ["plant/boiler", "weather/wind", "plant/pump"],
    ]


def test_the_selection_stays_with_its_topic() -> None:
    """Also if another topic appears before it."""
    monitor = filled()
    keys(monitor, "down")
    put(monitor, "a/new")
    names = shown(monitor)
    assert names[monitor.selected(View.VALUES, names)] == "plant/pump"


def test_a_pause_holds_the_screen_and_loses_nothing() -> None:
    """What arrives meanwhile is there when it ends."""
    monitor = filled()
    keys(monitor, " ")
    put(monitor, "plant/boiler", 99.0)
    put(monitor, "a/new")
    assert monitor.rows["plant/boiler"].reading.value == 61.0
    assert "a/new" not in shown(monitor)
    keys(monitor, " ")
    assert monitor.rows["plant/boiler"].reading.value == 99.0
    assert "a/new" in shown(monitor)


def test_enter_looks_at_a_topic_and_plus_further_back() -> None:
    """Escape leads back."""
    monitor = filled()
    assert keys(monitor, "down", "enter") == Look("plant/pump", 600.0)
    assert keys(monitor, "+") == Look("plant/pump", 3600.0)
    keys(monitor, "escape")
    assert (monitor.view, monitor.past) == (View.VALUES, None)


def test_a_past_that_is_not_looked_at_any_more_is_not_shown() -> None:
    """The answer was on its way."""
    monitor = filled()
    keys(monitor, "enter", "+")
    monitor.looked(Past("plant/boiler", 600.0, is_known=True))
    assert monitor.past is not None
    assert not monitor.past.is_known
    put(monitor, "plant/boiler", 62.0)
    monitor.looked(Past("plant/boiler", 3600.0, is_known=True))
    assert [one.value for one in monitor.past.readings] == [62.0]


def test_alarms_are_acknowledged_and_shelved_with_a_note() -> None:
    """The most urgent one is first; Escape at the question does nothing."""
    monitor = filled()
    monitor.alarm("calm", alarm(state="normal"))
    monitor.alarm("hot", alarm())
    keys(monitor, "3")
    assert shown(monitor, View.ALARMS) == ["hot", "calm"]
    assert monitor.waiting == 1
    assert keys(monitor, "a", *"on my way", "enter") == Acknowledge("hot", "on my way")
    assert keys(monitor, "z", "erase", *"30m tests", "enter") == Shelve("hot", 1800.0, "tests")
    assert keys(monitor, "a", "escape") is None
    assert monitor.message == "nothing was done"
    assert keys(monitor, "u") == Unshelve("hot")


def test_a_shelving_without_a_duration_is_refused() -> None:
    """In words that show one."""
    monitor = filled()
    monitor.alarm("hot", alarm())
    assert keys(monitor, "3", "z", "erase", *"soon", "enter") is None
    assert monitor.message == "soon: expected a duration such as 30m or 2h"


def test_the_worst_device_is_first() -> None:
    """One that is up waits for nobody."""
    monitor = filled()
    monitor.device("a", {"state": "up"})
    monitor.device("b", {"state": "down"})
    assert shown(monitor, View.DEVICES) == ["b", "a"]
    assert monitor.troubled == 1


def test_a_lost_link_is_known_until_it_is_back() -> None:
    """The first moment counts."""
    monitor = filled()
    monitor.lost("reset", NOW_US)
    monitor.lost("refused", NOW_US + S_US)
    assert (monitor.lost_us, monitor.lost_reason) == (NOW_US, "refused")
    monitor.back(NOW_US + 3 * S_US)
    assert monitor.lost_us is None
    assert monitor.away_s == 3.0


def test_memory_is_bounded() -> None:
    """Topics, the numbers of each, and the readings of a past."""
    monitor = Monitor("ws://x")
    for i in range(module.MAX_TOPICS + 5):
        put(monitor, f"t/{i}")
    assert (len(monitor.rows), monitor.unkept) == (module.MAX_TOPICS, 5)
    keys(monitor, "enter")
    name = shown(monitor)[0]
    for i in range(MAX_PAST + 50):
        put(monitor, name, float(i), ago_s=-10 * i)
    assert monitor.past is not None
    assert len(monitor.past.readings) == MAX_PAST
    assert len(monitor.rows[name].spark) == SPARK_CELLS


def test_a_value_holds_in_its_sparkline_until_another_is_reported() -> None:
    """Silence is no hole; a bad value is one."""
    monitor = Monitor("ws://x")
    put(monitor, "a", 1.0, ago_s=20)
    put(monitor, "a", 2.0, ago_s=5)
    row = monitor.rows["a"]
    assert row.moments(NOW_US) == [1.0, 1.0, 1.0, 2.0, 2.0]
    put(monitor, "a", 2.0, level=Level.BAD, reason="stale")
    assert row.moments(NOW_US)[-1] is None
