"""What `sensord monitor` draws."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import Level, Reading
from sensord.terminal.cells import width_of
from sensord.terminal.lines import Line, Style
from sensord.terminal.monitor import Monitor, View
from sensord.terminal.rows import Column, Past
from sensord.terminal.screen import HELP, draw
from tests.unit.terminal.test_monitor import NOW_US, S_US, alarm, filled, keys, put


def screen(monitor: Monitor, width: int = 80, height: int = 24, *, later_s: float = 0) -> str:
    lines = draw(monitor, width, height, NOW_US + round(later_s * S_US))
    return "\n".join(line.text for line in lines)


def line_of(monitor: Monitor, text: str, width: int = 80) -> Line:
    (found,) = [one for one in draw(monitor, width, 24, NOW_US) if text in one.text]
    return found


KEYS = st.lists(
    st.sampled_from(["1", "2", "3", "?", "/", "s", " ", "+", "-", "a", "z", "u", "x", "温"])
    | st.sampled_from(["up", "down", "pagedown", "home", "end", "enter", "escape", "tab"]),
    max_size=12,
)


@given(st.integers(0, 220), st.integers(0, 70), KEYS, st.booleans(), st.booleans())
def test_any_keys_on_any_size_fill_exactly_the_screen(
    width: int, height: int, pressed: list[str], is_lost: bool, is_plain: bool
) -> None:
    """Each line within the width, whatever devices call themselves."""
    monitor = filled()
    put(monitor, "温度/\x1b[2J" + "x" * 90, "a\nb")
    monitor.device("boiler\x07", {"state": "down", "detail": "no such port " * 9})
    monitor.alarm("hot", alarm(text="open the window", value={"a": [1]}))
    if is_lost:
        monitor.lost("reset", NOW_US)
    for key in pressed:
        monitor.press(key, NOW_US)
        if monitor.past is not None and not monitor.past.is_known:
            columns = [Column(NOW_US - i * S_US, 1.0, 9.0, float(i), 3) for i in range(9)]
            monitor.past.columns, monitor.past.is_known = columns, True
            monitor.past.readings.append(Reading(NOW_US, 5.0))
        lines = draw(monitor, width, height, NOW_US, is_plain=is_plain)
        assert len(lines) == (height if width else 0)
        for line in lines:
            assert width_of(line.text) <= width
            assert line.text.isprintable()
            assert not is_plain or line.text.isascii()


def test_a_row_has_value_decimals_unit_age_quality_and_sparkline() -> None:
    """On a usual screen."""
    monitor = filled()
    text = line_of(monitor, "plant/boiler").text
    assert text.split()[:7] == ["○", "plant/boiler", "61.0", "°C", "3", "s", "good"]
    assert "▅" in text


def test_quality_is_a_shape_and_a_word() -> None:
    """Colour alone says nothing."""
    monitor = filled()
    put(monitor, "a/changed", ago_s=0.5)
    put(monitor, "a/doubt", level=Level.UNCERTAIN, reason="retained")
    put(monitor, "a/same", ago_s=60)
    put(monitor, "a/same", ago_s=4, restates=True)
    found = {
        name: line_of(monitor, name, 120).text
        for name in ("a/changed", "a/doubt", "a/same", "plant/pump")
    }
    assert found["a/changed"].startswith("●")
    assert "good, changed" in found["a/changed"]
    assert found["a/doubt"].startswith("?")
    assert "uncertain: retained" in found["a/doubt"]
    assert found["a/same"].startswith("=")
    assert "confirmed 4 s" in found["a/same"]
    assert found["plant/pump"].startswith("✗")
    assert "bad: stale" in found["plant/pump"]


def test_a_lost_link_marks_every_value_and_has_a_line() -> None:
    """And its return has one, for some seconds."""
    monitor = filled()
    monitor.lost("reset", NOW_US)
    text = screen(monitor, later_s=12)
    assert "connection lost 12 s ago (reset)" in text
    assert "LINK LOST" in text
    rows = [line for line in text.splitlines() if "plant/" in line or "weather/" in line]
    assert all(row.startswith("~") and "stale, no link" in row for row in rows)
    monitor.back(NOW_US + 13 * S_US)
    assert "connection is back after 13 s" in screen(monitor, later_s=14)
    assert "connection is back" not in screen(monitor, later_s=60)


def test_a_tiny_screen_shows_name_value_and_shape() -> None:
    """20 columns, 5 lines: three entries."""
    monitor = filled()
    lines = screen(monitor, 20, 5).splitlines()
    assert [line.split() for line in lines[1:4]] == [
        ["○", "plant/boiler", "61.0"],
        ["✗", "plant/pump", "2.0"],
        ["○", "weather/wind", "5.0"],
    ]


def test_the_list_scrolls_with_the_selection() -> None:
    """And the head says which part is seen."""
    monitor = Monitor("ws://x")
    for i in range(100):
        put(monitor, f"t/{i:03}")
    screen(monitor)
    keys(monitor, "end")
    text = screen(monitor)
    assert "t/099" in text
    assert "80-100 of 100" in text
    assert [one.is_selected for one in draw(monitor, 80, 24, NOW_US)][-2]
    keys(monitor, "home")
    assert "t/000" in screen(monitor)


def test_only_visible_rows_are_drawn() -> None:
    """Ten thousand topics cost one screen."""
    monitor = Monitor("ws://x")
    for i in range(1000):
        put(monitor, f"t/{i:04}")
    lines = draw(monitor, 80, 24, NOW_US)
    assert len(lines) == 24
    assert sum("t/" in one.text for one in lines) == 21


def test_alarms_that_wait_are_counted_in_the_title() -> None:
    """Whatever is looked at."""
    monitor = filled()
    monitor.alarm("hot", alarm(text="open the window", value=81.5))
    monitor.alarm("old", alarm(shelved={"until_us": NOW_US, "by": {"name": "Anna"}, "text": ""}))
    assert "3 alarms 1!" in screen(monitor).splitlines()[0]
    keys(monitor, "3")
    hot = line_of(monitor, "hot")
    assert hot.text.startswith("! hot")
    assert "raised" in hot.text
    assert hot.spans[0].style is Style.BAD
    assert "by Anna" in line_of(monitor, "old", 120).text


def test_a_past_is_a_chart_and_its_readings_the_newest_first() -> None:
    """A gap is a line."""
    monitor = filled()
    keys(monitor, "enter")
    past = Past("plant/boiler", 600.0, start_us=NOW_US - 600 * S_US, is_known=True)
    past.columns = [Column(NOW_US - 300 * S_US, 10.0, 30.0, 20.0, 5)]
    past.readings.extend([Reading(NOW_US - S_US, 1.0), Reading(NOW_US, 2.0)])
    past.gaps = ["7 readings missing: no longer kept"]
    monitor.looked(past)
    text = screen(monitor)
    assert "30.0 " in text
    assert "10.0 " in text
    assert "7 readings missing" in text
    assert text.index(" 2.0  good") < text.index(" 1.0  good")


def test_a_list_that_may_not_be_read_gives_its_reason() -> None:
    """Instead of looking empty."""
    monitor = filled()
    monitor.refusals[View.DEVICES] = "forbidden: no right to $sys/devices/#"
    keys(monitor, "2")
    assert "not shown: forbidden" in screen(monitor)


def test_the_help_fits_a_usual_screen() -> None:
    """Without scrolling."""
    monitor = filled()
    keys(monitor, "?")
    text = screen(monitor)
    assert all(line in text for line in HELP)
    keys(monitor, "escape")
    assert monitor.view is View.VALUES
