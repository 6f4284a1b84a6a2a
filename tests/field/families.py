"""Play the samples of the families through the framing, decoder and channels of their devices."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sensord.config.load import parse
from sensord.config.tree import Device
from sensord.decode import registry as decoders
from sensord.model.times import iso
from sensord.readers import registry as readers
from sensord.trial.bench import Bench, Outcome, TrialError

__all__ = ["FAMILIES", "differences", "row"]

FOLDER = Path(__file__).parent
FAMILIES = sorted(one.name for one in FOLDER.iterdir() if (one / "config.toml").is_file())


class Played(NamedTuple):
    """What came out, by topic, and how often each fault was counted."""

    last: Mapping[str, Outcome]
    faults: Mapping[str, int]


def devices(name: str) -> tuple[Device, ...]:
    """Return the devices of a family's configuration."""
    text = (FOLDER / name / "config.toml").read_text()
    return parse(text, name, readers, decoders).devices


def played(name: str) -> Played:
    """Play a family's sample."""
    folder = FOLDER / name
    last: dict[str, Outcome] = {}
    faults: dict[str, int] = {}
    for device in devices(name):
        bench = Bench(device)
        if (folder / "sample.bin").is_file():
            bench.stream((folder / "sample.bin").read_bytes())
        if (folder / "exchange.json").is_file():
            for one in json.loads((folder / "exchange.json").read_text()):
                request, answer = _bytes(one, "expect"), _bytes(one, "answer")
                bench.stream(request + answer if device.reader == "modbus" else answer)
        if (folder / "payloads.jsonl").is_file():
            for line in (folder / "payloads.jsonl").read_text().splitlines():
                _deliver(bench, json.loads(line))
        last |= {one.topic: one for one in bench.outcomes()}
        faults |= bench.faults
    return Played(last, faults)


def _bytes(one: Mapping[str, str], key: str) -> bytes:
    digits = one.get(f"{key}_hex")
    return one[key].encode("latin-1") if digits is None else bytes.fromhex(digits)


def _deliver(bench: Bench, one: Mapping[str, Any]) -> None:
    payload = one["payload"]
    text = payload if isinstance(payload, str) else json.dumps(payload)
    try:
        bench.message(one["topic"], text.encode())
    except TrialError:
        return  # another device's, or one that nobody asked for


def differences(name: str) -> Iterator[str]:
    """Yield how the last values differ from what must come out."""
    found = played(name).last
    for topic, wanted in json.loads((FOLDER / name / "expected.json").read_text()).items():
        table = wanted if isinstance(wanted, dict) and "value" in wanted else {"value": wanted}
        outcome = found.get(topic)
        if outcome is None:
            yield f"{topic}: missing; there are {', '.join(found) or 'none'}"
            continue
        facts = _facts(outcome)
        for key, value in table.items():
            if not _is_equal(facts[key], value):
                yield f"{topic}: {key} is {facts[key]!r}, expected {value!r}"


def _facts(outcome: Outcome) -> dict[str, object]:
    return {
        "value": outcome.value,
        "unit": outcome.unit,
        "quality": outcome.quality.level.name.lower(),
        "reason": outcome.quality.reason,
        "time": None if outcome.time_us is None else iso(outcome.time_us),
    }


def _is_equal(found: object, wanted: object) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-9)
    return found == wanted


def row(name: str) -> str:
    """Return a family's row of the table in the documents."""
    lines = len((FOLDER / name / "config.toml").read_text().splitlines())
    found = played(name)
    wanted = json.loads((FOLDER / name / "expected.json").read_text())
    shown = [_shown(topic, found.last[topic]) for topic in list(wanted)[:2] if topic in found.last]
    more = len(found.last) - len(shown)
    faults = [f"fault `{reason}`" for reason in found.faults]
    cells = [*shown, *([f"{more} more"] if more > 0 else []), *faults]
    return f"| [{name}](../tests/field/{name}/config.toml) | {lines} | {', '.join(cells)} |"


def _shown(topic: str, one: Outcome) -> str:
    quality = f" ({one.quality.level.name.lower()}: {one.quality.reason})"
    suffix = quality if one.quality.reason else ""
    unit = f" {one.unit}" if one.unit else ""
    return f"`{topic}` {json.dumps(one.value, ensure_ascii=False)}{unit}{suffix}"


def main() -> None:
    """Write the table into the documents."""
    page = FOLDER.parents[1] / "docs" / "families.md"
    head = page.read_text().partition("| family |")[0]
    rows = [row(name) for name in FAMILIES]
    title = "| family | lines of configuration | what comes out |\n| --- | --- | --- |\n"
    page.write_text(head + title + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
