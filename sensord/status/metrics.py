"""The state of the daemon as metrics, in the text format of Prometheus. Pure.

Source: the text-based exposition format, version 0.0.4, and the naming rules of Prometheus: base
units, counters end in ``_total``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import inf, isinf, isnan
from typing import NamedTuple

from sensord.model.readings import Level, Record, Value

__all__ = ["CONTENT_TYPE", "Metric", "daemon_metrics", "exposition", "reading_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]
Sample = tuple[Labels, float]


class Metric(NamedTuple):
    """A metric family: ``kind`` is ``counter`` or ``gauge``."""

    name: str
    kind: str
    help: str
    samples: Iterable[Sample]


SAMPLES_AT_ONCE = 128
"""Written in one piece: some 10 KiB."""


def exposition(metrics: Iterable[Metric]) -> Iterator[str]:
    """Write metric families in pieces; families without samples are left out."""
    for metric in metrics:
        head = f"# HELP {metric.name} {_help(metric.help)}\n# TYPE {metric.name} {metric.kind}\n"
        samples = iter(metric.samples)
        while part := list(islice(samples, SAMPLES_AT_ONCE)):
            lines = (f"{metric.name}{_labels(labels)} {_number(n)}\n" for labels, n in part)
            yield head + "".join(lines)
            head = ""


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value == inf else "-Inf"
    return repr(value)


def _family(
    prefix: str, fields: Mapping[str, Value], described: Mapping[str, tuple[str, str, float, str]]
) -> Iterator[Metric]:
    """Yield a metric for each number that is present: name, kind, factor and help by field."""
    for field, (name, kind, factor, text) in described.items():
        value = fields.get(field)
        if isinstance(value, int | float):
            yield Metric(prefix + name, kind, text, [({}, value * factor)])


_COUNT = ("counter", 1)
_GAUGE = ("gauge", 1)

_JOURNAL = {
    "recorded": ("recorded_readings_total", *_COUNT, "Readings committed to disk."),
    "dropped": ("dropped_readings_total", *_COUNT, "Readings lost because the disk refused them."),
    "damaged": ("damaged_places", *_GAUGE, "Damaged places found in the journal."),
    "lost": ("unreadable_offsets", *_GAUGE, "Offsets that damage makes unreadable."),
    "segments": ("segments", *_GAUGE, "Complete segment files."),
    "used_bytes": ("used_bytes", *_GAUGE, "Disk space used by the journal."),
    "max_bytes": ("max_bytes", *_GAUGE, "Configured limit of the journal's disk space."),
    "written_bytes": ("written_bytes_total", *_COUNT, "Bytes written to the journal."),
}

_CLOCK = {
    "synchronised": ("synchronised", *_GAUGE, "1 if the system's clock is synchronised."),
    "steps": ("steps_total", *_COUNT, "How often the clock was set by more than half a second."),
}

_DEVICE = {
    "connects": ("connects_total", *_COUNT, "How often the device came up."),
    "messages": ("messages_total", *_COUNT, "Messages received from the device."),
    "samples": ("samples_total", *_COUNT, "Values decoded."),
    "readings": ("readings_total", *_COUNT, "Readings published."),
    "last_reading_us": (
        "last_reading_timestamp_seconds",
        "gauge",
        1e-6,
        "When a value last came from the device.",
    ),
}


def daemon_metrics(system: Mapping[str, Value]) -> Iterator[Metric]:
    """Return metrics of the last values under ``$sys``, by topic."""
    journal, clock = system.get("$sys/journal"), system.get("$sys/clock")
    if isinstance(journal, dict) and journal.get("state") != "off":
        is_ok = float(journal.get("state") == "ok")
        yield Metric("sensord_journal_up", "gauge", "1 while readings are recorded.", [({}, is_ok)])
        yield from _family("sensord_journal_", journal, _JOURNAL)
    if isinstance(clock, dict):
        yield from _family("sensord_clock_", clock, _CLOCK)
    prefix = "$sys/devices/"
    devices = {
        topic.removeprefix(prefix): value
        for topic, value in sorted(system.items())
        if topic.startswith(prefix) and isinstance(value, dict)
    }
    yield Metric(
        "sensord_device_up",
        "gauge",
        "1 while the device is up.",
        [({"device": name}, float(one.get("state") == "up")) for name, one in devices.items()],
    )
    for field, (name, kind, factor, text) in _DEVICE.items():
        samples = [
            ({"device": device}, value * factor)
            for device, one in devices.items()
            if isinstance(value := one.get(field), int | float)
        ]
        yield Metric(f"sensord_device_{name}", kind, text, samples)
    yield Metric(
        "sensord_device_faults_total", "counter", "Faults of the device's data.", _faults(devices)
    )


def _faults(devices: Mapping[str, Mapping[str, Value]]) -> Iterator[Sample]:
    for device, fields in devices.items():
        faults = fields.get("faults")
        if isinstance(faults, dict):
            for reason, count in faults.items():
                if isinstance(count, int | float):
                    yield {"device": device, "reason": reason}, count


def reading_metrics(records: Iterable[Record]) -> Iterator[Metric]:
    """Return the last values as gauges, and the quality of each.

    A bad value, and one that is no number, has no sample: the series ends instead of repeating an
    old number.
    """
    values: list[Sample] = []
    qualities: list[Sample] = []
    for record in records:
        reading, metadata = record.reading, record.channel.metadata
        labels = {"topic": record.channel.topic}
        qualities.append((labels, float(reading.quality.level)))
        if reading.quality.level is Level.BAD or not isinstance(reading.value, int | float):
            continue
        labels = {**labels, "unit": metadata.unit, "device": metadata.device}
        named = {name: value for name, value in labels.items() if value}
        values.append((named, _as_float(reading.value)))
    yield Metric("sensord_reading", "gauge", "The last value of a topic, unless bad.", values)
    text = "Quality of the last value: 0 good, 1 uncertain, 2 bad."
    yield Metric("sensord_reading_quality", "gauge", text, qualities)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond what a float holds
        return inf if value > 0 else -inf
