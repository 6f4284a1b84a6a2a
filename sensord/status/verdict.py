"""One verdict on the daemon: what is wrong, worst first. Pure.

It is made from the last values under ``$sys``, so a remote monitor, the command `sensord status`
and ``/readyz`` come to the same conclusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from sensord.model.readings import Value

__all__ = ["Finding", "Severity", "is_ready", "verdict"]


class Severity(IntEnum):
    """How much a finding matters; the value is the exit status of ``sensord status``."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Finding(NamedTuple):
    """One thing that is right or wrong. ``mend`` is the remedy, if any."""

    severity: Severity
    subject: str
    text: str
    mend: str = ""


Fields = Mapping[str, Value]
"""The value of a topic under ``$sys``: a map."""

DEVICES = "$sys/devices/"


def verdict(system: Mapping[str, Value]) -> list[Finding]:
    """Return the findings on the last values under ``$sys``, by topic; the worst come first."""
    findings: list[Finding] = []
    for topic, judge in _JUDGES.items():
        value = system.get(topic)
        if isinstance(value, dict):
            findings += judge(value)
    findings += _devices(_below(system, DEVICES))
    findings += _sessions(_below(system, "$sys/sessions/"))
    findings += _alarms(_below(system, "$sys/alarms/"))
    return sorted(findings, key=lambda one: (-one.severity, one.subject))


def is_ready(findings: list[Finding]) -> bool:
    """Return whether the daemon does its work: nothing is critical."""
    return all(one.severity < Severity.CRITICAL for one in findings)


def _below(system: Mapping[str, Value], prefix: str) -> dict[str, Fields]:
    found = {t.removeprefix(prefix): v for t, v in system.items() if t.startswith(prefix)}
    return {name: value for name, value in sorted(found.items()) if isinstance(value, dict)}


def _alarms(alarms: Mapping[str, Fields]) -> Iterator[Finding]:
    """Yield the alarms that wait to be acknowledged; the daemon itself works all the same."""
    for name, one in alarms.items():
        if one.get("state") in {"raised", "cleared"} and not one.get("shelved"):
            text = str(one.get("text") or one.get("cause") or "")
            detail = f"{one.get('state')}, {one.get('priority')}: {text}"
            yield Finding(Severity.WARNING, f"alarm {name}", detail, f"sensord ack {name}")


def _devices(devices: Mapping[str, Fields]) -> Iterator[Finding]:
    states = {name: one.get("state") for name, one in devices.items()}
    if states and not any(state == "up" for state in states.values()):
        yield Finding(Severity.CRITICAL, "devices", f"none of {len(states)} is up")
    for name, one in devices.items():
        state, detail = str(one.get("state")), str(one.get("detail") or "")
        reason = f": {detail}" if detail else ""
        mend = f"sensord devices; sensord tail '{DEVICES}{name}'"
        if state not in {"up", "stopped"}:
            yield Finding(Severity.WARNING, f"device {name}", f"{state}{reason}", mend)
        offline = one.get("offline")
        if isinstance(offline, list) and offline:
            text = f"reported offline: {', '.join(map(str, offline[:5]))}"
            yield Finding(Severity.WARNING, f"device {name}", text)
    if states:
        up = sum(state == "up" for state in states.values())
        yield Finding(Severity.OK, "devices", f"{up} of {len(states)} up")


def _journal(fields: Fields) -> Iterator[Finding]:
    state = fields.get("state")
    if state == "off":
        yield Finding(Severity.OK, "journal", "off: readings are not recorded")
        return
    if state != "ok":
        text = f"not recording: {fields.get('reason') or state}"
        yield Finding(Severity.CRITICAL, "journal", text)
    if dropped := _number(fields, "dropped"):
        text = f"{dropped:,} readings lost because the disk was full or failed"
        yield Finding(Severity.WARNING, "journal", text)
    if damaged := _number(fields, "damaged"):
        text = f"damaged in {damaged:,} places; {_number(fields, 'lost'):,} offsets cannot be read"
        yield Finding(Severity.WARNING, "journal", text, "the log names each place")
    strays = fields.get("strays")
    if isinstance(strays, list) and strays:
        text = f"not part of it, left alone: {', '.join(map(str, strays[:5]))}"
        yield Finding(Severity.WARNING, "journal", text, "move them out of its folder")
    if state == "ok":
        used, most = _number(fields, "used_bytes"), _number(fields, "max_bytes")
        share = f", {used / most:.0%} of its {most / 2**20:,.0f} MiB" if most else ""
        yield Finding(Severity.OK, "journal", f"recording{share}")


def _clock(fields: Fields) -> Iterator[Finding]:
    trust, is_synchronised = fields.get("trust"), fields.get("synchronised")
    if trust == "unset":
        text = "not set: readings are uncertain: clock"
        yield Finding(Severity.WARNING, "clock", text, "set it, or give the board a time server")
    elif is_synchronised is False:
        yield Finding(Severity.OK, "clock", "set, not synchronised")
    else:
        yield Finding(Severity.OK, "clock", "synchronised" if is_synchronised else "set")


def _addresses(fields: Fields) -> Iterator[Finding]:
    missing = fields.get("missing")
    if fields.get("state") == "ok" or not isinstance(missing, list):
        return
    for one in missing:
        if isinstance(one, dict):
            text = f"{one.get('address')} is missing: {one.get('reason')}"
            yield Finding(Severity.WARNING, "addresses", text)


def _aborted(fields: Fields) -> Iterator[Finding]:
    text = f"the run before did not answer the watchdog: {fields.get('stack')}"
    yield Finding(Severity.WARNING, "restart", text, "report it; the log has the time")


def _connections(fields: Fields) -> Iterator[Finding]:
    if fields.get("state") == "full":
        text = f"{_number(fields, 'connections')} of {_number(fields, 'most')} in use, some are cut"
        yield Finding(Severity.WARNING, "connections", text, "raise LimitNOFILE= of the unit")


def _sessions(sessions: Mapping[str, Fields]) -> Iterator[Finding]:
    for one in sessions.values():
        if one.get("state") in {"lagging", "costly"}:
            who = one.get("client") or one.get("address")
            text = f"{who} is {one['state']}: it gets fewer readings, others are not affected"
            yield Finding(Severity.OK, f"session {one.get('session')}", text)


def _number(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return int(value) if isinstance(value, int | float) else 0


_JUDGES: Mapping[str, Callable[[Fields], Iterator[Finding]]] = {
    "$sys/journal": _journal,
    "$sys/clock": _clock,
    "$sys/addresses": _addresses,
    "$sys/connections": _connections,
    "$sys/aborted": _aborted,
}
