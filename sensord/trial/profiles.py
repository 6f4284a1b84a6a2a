"""Test a profile on its samples: what must come out, comes out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sensord.model.readings import Value
from sensord.model.times import iso
from sensord.profiles import Profile, Sample
from sensord.trial.bench import NAME, Bench, Outcome, TrialError, device_of

__all__ = ["check"]


def check(profile: Profile) -> Iterator[str]:
    """Yield what is wrong with a profile, one line each."""
    try:
        device = device_of(profile)
    except TrialError as exc:
        yield str(exc)
        return
    if not profile.samples:
        yield f"{profile.name}: has no samples: nothing shows that it reads its device"
    for number, sample in enumerate(profile.samples, 1):
        bench = Bench(device)
        try:
            if sample.data:
                bench.stream(sample.data)
            for topic, payload in sample.messages:
                bench.message(topic, payload)
            for path, content in sample.files:
                bench.file(path, content)
        except TrialError as exc:
            yield f"{profile.name}: sample {number}: {exc}"
            continue
        for wrong in _compared(sample, bench):
            yield f"{profile.name}: sample {number}: {wrong}"


def _compared(sample: Sample, bench: Bench) -> Iterator[str]:
    last = {one.topic: one for one in bench.outcomes()}
    if dict(bench.faults) != dict(sample.faults):
        quoted = ", ".join(f"{one.reason} {one.excerpt!r}" for one in bench.named[:3])
        yield f"faults {dict(bench.faults)}, expected {dict(sample.faults)}; {quoted}"
    for topic, wanted in sample.expect.items():
        found = last.get(topic) or last.get(f"{NAME}/{topic}")
        if found is None:
            yield f"{topic} is missing; there are {', '.join(last) or 'none'}"
        elif wrong := _difference(found, wanted):
            yield f"{topic} is {wrong}"


def _difference(found: Outcome, wanted: object) -> str:
    table: Mapping[str, Any] = wanted if _is_table(wanted) else {"value": wanted}  # type: ignore[assignment]  # checked
    facts: dict[str, object] = {
        "value": found.value,
        "unit": found.unit,
        "quality": found.quality.level.name.lower(),
        "reason": found.quality.reason,
        "time": None if found.time_us is None else iso(found.time_us),
    }
    if "quality" not in table and "reason" not in table:
        table = {**table, "quality": "good"}
    if unknown := sorted(table.keys() - facts.keys()):
        return f"compared with an unknown key {unknown[0]}; known are {', '.join(facts)}"
    wrong = [
        f"{key} {facts[key]!r}, expected {value!r}"
        for key, value in table.items()
        if not _is_equal(facts[key], value)
    ]
    return ", ".join(wrong)


def _is_table(wanted: object) -> bool:
    return isinstance(wanted, dict) and bool(wanted.keys() & {"value", "unit", "quality", "reason"})


def _is_equal(found: object, wanted: Value) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12)
    return found == wanted
