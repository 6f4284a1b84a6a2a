"""What is wrong comes first, and decides the exit status and the readiness."""

from __future__ import annotations

from sensord.model.readings import Value
from sensord.status.verdict import Finding, Severity, is_ready, verdict

WELL: dict[str, Value] = {
    "$sys/journal": {"state": "ok", "used_bytes": 2**20, "max_bytes": 4 * 2**20},
    "$sys/clock": {"trust": "synchronised", "synchronised": True},
    "$sys/devices/boiler": {"state": "up", "detail": "at 9600"},
}


def found(**changed: Value) -> list[Finding]:
    return verdict(WELL | {f"$sys/{name.replace('__', '/')}": v for name, v in changed.items()})


def wrong(**changed: Value) -> list[tuple[int, str, str]]:
    return [one[:3] for one in found(**changed) if one.severity > Severity.OK]


def test_all_is_well() -> None:
    """Each part is named all the same."""
    assert found() == [
        (Severity.OK, "clock", "synchronised", ""),
        (Severity.OK, "devices", "1 of 1 up", ""),
        (Severity.OK, "journal", "recording, 25% of its 4 MiB", ""),
    ]
    assert is_ready(found())


def test_alarms_that_wait_are_warned_of() -> None:
    """Raised or cleared, until acknowledged or shelved; the daemon is ready all the same."""
    alarm: dict[str, Value] = {
        "state": "raised",
        "priority": "high",
        "text": "open",
        "shelved": None,
    }
    assert wrong(alarms__hot=alarm) == [(Severity.WARNING, "alarm hot", "raised, high: open")]
    assert is_ready(found(alarms__hot=alarm))
    assert wrong(alarms__hot={**alarm, "shelved": {"until_us": 1}}) == []
    assert wrong(alarms__hot={**alarm, "state": "acknowledged"}) == []


def test_a_daemon_without_anything_is_ready() -> None:
    """Nothing is configured, so nothing is missing."""
    assert verdict({}) == []
    assert is_ready([])


def test_a_journal_that_does_not_record_is_critical() -> None:
    """With its reason."""
    broken = found(journal={"state": "full", "reason": "no space left"})
    assert broken[0][:3] == (2, "journal", "not recording: no space left")
    assert not is_ready(broken)
    assert wrong(journal={"state": "failed"}) == [(2, "journal", "not recording: failed")]


def test_a_journal_that_is_off_is_no_fault() -> None:
    """It is what the configuration wants."""
    assert wrong(journal={"state": "off"}) == []


def test_losses_of_the_journal_are_warned_of() -> None:
    """Even while it records again."""
    assert wrong(journal={"state": "ok", "dropped": 1200, "damaged": 2, "lost": 5}) == [
        (1, "journal", "1,200 readings lost because the disk was full or failed"),
        (1, "journal", "damaged in 2 places; 5 offsets cannot be read"),
    ]


def test_strays_in_the_journals_folder_are_warned_of() -> None:
    """Its readings are all there; some of them are named."""
    names: list[Value] = [f"{number}.mcap" for number in range(9)]
    assert wrong(journal={"state": "ok", "strays": names}) == [
        (1, "journal", "not part of it, left alone: 0.mcap, 1.mcap, 2.mcap, 3.mcap, 4.mcap")
    ]


def test_a_device_that_is_down_is_a_warning_and_all_of_them_are_critical() -> None:
    """The detail says why."""
    down: Value = {"state": "down", "detail": "no such port"}
    assert wrong(devices__pump=down) == [(1, "device pump", "down: no such port")]
    both = found(devices__boiler=down, devices__pump=down)
    assert both[0][:3] == (2, "devices", "none of 2 is up")
    assert not is_ready(both)


def test_devices_that_report_themselves_offline_are_named() -> None:
    """Though their connection is up."""
    value: Value = {"state": "up", "offline": ["z/door", "z/lamp"]}
    assert wrong(devices__zigbee=value) == [
        (1, "device zigbee", "reported offline: z/door, z/lamp")
    ]


def test_a_clock_that_is_not_set_is_a_warning() -> None:
    """One that is merely not synchronised is not."""
    assert wrong(clock={"trust": "unset", "synchronised": False}) == [
        (1, "clock", "not set: readings are uncertain: clock")
    ]
    assert wrong(clock={"trust": "set", "synchronised": False}) == []


def test_missing_addresses_and_full_connections_are_warnings() -> None:
    """Those who cannot connect will ask."""
    missing: list[Value] = [{"address": "10.0.0.9:80", "error": "E", "reason": "no interface"}]
    assert wrong(addresses={"state": "incomplete", "missing": missing}) == [
        (1, "addresses", "10.0.0.9:80 is missing: no interface")
    ]
    assert wrong(addresses={"state": "ok", "missing": []}) == []
    full: Value = {"state": "full", "connections": 48, "most": 48}
    assert wrong(connections=full) == [(1, "connections", "48 of 48 in use, some are cut")]


def test_a_slow_monitor_is_named_and_no_fault_of_the_daemon() -> None:
    """Nothing is wrong with the others."""
    value: Value = {"session": "7", "client": "wall", "state": "lagging"}
    slow = found(sessions__1=value, sessions__2={"state": "live", "session": "8"})
    assert [one.subject for one in slow if "session" in one.subject] == ["session 7"]
    assert wrong(sessions__1=value) == []


def test_values_of_another_shape_are_passed_over() -> None:
    """They come over the wire, perhaps from a newer version."""
    assert verdict({"$sys/journal": 5, "$sys/devices/x": "up", "$sys/clock": None}) == []
