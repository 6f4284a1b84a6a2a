"""The text that Prometheus reads."""

from __future__ import annotations

import math

from sensord.model.readings import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Record,
    Value,
    ValueType,
)
from sensord.status.metrics import Metric, daemon_metrics, exposition, reading_metrics


def text(*metrics: Metric) -> str:
    return "".join(exposition(metrics))


def record(topic: str, value: Value, metadata: Metadata, quality: Quality = GOOD) -> Record:
    return Record(1, 0, Channel(1, topic, metadata), Reading(0, value, quality))


def test_a_family_has_its_help_type_and_samples() -> None:
    """One without samples is left out."""
    one = Metric("a_total", "counter", "Two\nlines.", [({"x": 'q"\\\n'}, 2), ({}, 0.5)])
    assert text(one, Metric("b", "gauge", "B.", [])) == (
        "# HELP a_total Two\\nlines.\n# TYPE a_total counter\n"
        'a_total{x="q\\"\\\\\\n"} 2\na_total 0.5\n'
    )


def test_numbers_that_are_none_are_written_as_the_format_has_them() -> None:
    """Infinite ones with their sign."""
    samples: list[tuple[dict[str, str], float]] = [({}, math.inf), ({}, -math.inf), ({}, math.nan)]
    assert text(Metric("a", "gauge", "A.", samples)).splitlines()[2:] == [
        "a +Inf",
        "a -Inf",
        "a NaN",
    ]


def test_a_large_family_comes_in_pieces_with_one_head() -> None:
    """No turn of the loop writes thousands."""
    pieces = list(exposition([Metric("a", "gauge", "A.", [({}, i) for i in range(1000)])]))
    assert len(pieces) == 8
    assert "".join(pieces).count("# TYPE") == 1
    assert "".join(pieces).count("\n") == 1002


def test_the_state_of_journal_clock_and_devices_become_metrics() -> None:
    """By the names under which the docs list them."""
    system: dict[str, Value] = {
        "$sys/journal": {"state": "full", "recorded": 7, "used_bytes": 100, "reason": "x"},
        "$sys/clock": {"synchronised": True, "steps": 1},
        "$sys/devices/boiler": {
            "state": "up",
            "readings": 3,
            "last_reading_us": 1_500_000,
            "faults": {"not JSON": 2, "odd": "?"},
        },
        "$sys/devices/odd": "?",
    }
    lines = text(*daemon_metrics(system)).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "sensord_journal_up 0.0",
        "sensord_journal_recorded_readings_total 7",
        "sensord_journal_used_bytes 100",
        "sensord_clock_synchronised 1",
        "sensord_clock_steps_total 1",
        'sensord_device_up{device="boiler"} 1.0',
        'sensord_device_readings_total{device="boiler"} 3',
        'sensord_device_last_reading_timestamp_seconds{device="boiler"} 1.5',
        'sensord_device_faults_total{device="boiler",reason="not JSON"} 2',
    ]


def test_without_a_journal_there_is_nothing_about_it() -> None:
    """A journal that is off is not one that is down."""
    assert text(*daemon_metrics({"$sys/journal": {"state": "off"}})) == ""
    assert text(*daemon_metrics({})) == ""


def test_readings_are_gauges_with_unit_device_and_quality() -> None:
    """A bad value is not repeated, and a text is no number; large whole numbers do not fail."""
    metadata = Metadata(unit="Cel", device="boiler")
    records = [
        record("a", 21.5, metadata),
        record("b", 9.0, Metadata(), Quality(Level.BAD, "disconnected")),
        record("c", "text", Metadata(ValueType.STRING)),
        record("d", True, Metadata(ValueType.BOOL), Quality(Level.UNCERTAIN, "stale")),
        record("e", 10**400, Metadata(ValueType.INT)),
        record("f", -(10**400), Metadata(ValueType.INT)),
    ]
    lines = text(*reading_metrics(records)).splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        'sensord_reading{topic="a",unit="Cel",device="boiler"} 21.5',
        'sensord_reading{topic="d"} 1.0',
        'sensord_reading{topic="e"} +Inf',
        'sensord_reading{topic="f"} -Inf',
        'sensord_reading_quality{topic="a"} 0.0',
        'sensord_reading_quality{topic="b"} 2.0',
        'sensord_reading_quality{topic="c"} 0.0',
        'sensord_reading_quality{topic="d"} 1.0',
        'sensord_reading_quality{topic="e"} 0.0',
        'sensord_reading_quality{topic="f"} 0.0',
    ]
