"""What a reload has to restart."""

from __future__ import annotations

from sensord.config.difference import Difference, Names, difference
from sensord.config.load import parse
from sensord.config.tree import Config
from sensord.decode import registry as decoders
from sensord.readers import registry as readers
from sensord.uplinks import registry as uplinks

METER = """
[devices.meter]
reader = "serial"
port = "/dev/ttyUSB0"
decoder = { type = "regex", pattern = "(?P<power>[0-9]+)" }
"""
PUMP = '[devices.pump]\nreader = "simulated"\nsignals.speed = {}\n'


def read(text: str) -> Config:
    return parse(text, "test.toml", readers, decoders, uplinks=uplinks)


def told(old: str, new: str) -> dict[str, object]:
    return difference(read(old), read(new)).to_value()


def test_the_same_text_differs_in_nothing() -> None:
    """Though its patterns are compiled again; nor do comments, order and white space."""
    assert difference(read(METER + PUMP), read(METER + PUMP)) == Difference()
    assert told(METER + PUMP, f"# moved\n{PUMP}\n{METER}") == {}


def test_devices_are_added_changed_and_removed() -> None:
    """By their names."""
    faster = PUMP + 'interval = "100ms"\n'
    valve = PUMP.replace("pump", "valve")
    assert told(PUMP, valve) == {"devices": {"added": ["valve"], "removed": ["pump"]}}
    assert told(PUMP + valve, faster.replace("signals", "signals")) == {
        "devices": {"changed": ["pump"], "removed": ["valve"]}
    }


def test_alarms_derived_channels_uplinks_and_the_level_of_the_log() -> None:
    """Each by its own kind."""
    alarm = '[alarms.fast]\ntopic = "pump/speed"\nabove = {}\n'
    derived = '[derived."pump/rate"]\nfrom = "pump/speed"\nrate = "1s"\n'
    uplink = '[uplinks.db]\ntype = "influx"\nurl = "http://127.0.0.1:8086"\ndatabase = "x"\n'
    old = PUMP + alarm.format(3)
    new = PUMP + alarm.format(4) + derived + uplink + '[logging]\nlevel = "debug"\n'
    assert told(old, new) == {
        "alarms": {"changed": ["fast"]},
        "derived": {"added": ["pump/rate"]},
        "uplinks": {"added": ["db"]},
        "logging.level": "debug",
    }


def test_what_only_a_start_reads_is_named() -> None:
    """Key by key; a default that is written out is no change."""
    more = '[server]\nmax_sessions = 7\noutbox = "128KiB"\n[journal]\nmax_age = "1d"\n'
    assert told(PUMP, PUMP + more) == {"needs_restart": ["server.max_sessions", "journal.max_age"]}


def test_names_end_and_begin() -> None:
    """One that changed does both."""
    names = Names(("a",), ("b",), ("c",))
    assert (names.ended, names.begun) == (("c", "b"), ("a", "b"))
    assert names
    assert not Names()
