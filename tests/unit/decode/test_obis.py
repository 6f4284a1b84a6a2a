"""Data lines of meters: codes, units, and the times that the meter states."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sensord.decode.base import BAD_TIME, Sample
from sensord.decode.obis import NO_DATA, SEVERAL_GROUPS, Config, Decoder
from sensord.decode.text import BAD_ENCODING
from sensord.model.readings import Metadata
from tests.unit.decode.streams import config_faults


def us(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[arg-type,misc]  # whole numbers


def samples(config: Config, *lines: str) -> list[Sample]:
    decoder = Decoder(config)
    found = [decoder.decode(line.encode()) for line in lines]
    assert [one.faults for one in found] == [[]] * len(lines)
    return [sample for one in found for sample in one.samples]


def test_a_value_has_its_unit() -> None:
    """By its full code, or by its short one."""
    assert samples(Config(), "1-0:1.8.1(001234.567*kWh)") == [
        Sample("1-0:1.8.1", 1234.567, unit="kW.h")
    ]
    config = Config(fields={"import": "1.8.1", "gas": "0-1:24.2.1"})
    assert samples(config, "1-0:1.8.1(000001.5*kWh)", "1-0:1.8.2(000002*kWh)") == [
        Sample("import", 1.5, unit="kW.h")
    ]
    decoder = Decoder(config)
    decoder.decode(b"1.8.1(0*kWh)")
    assert decoder.metadata("import") == Metadata(unit="kW.h")
    assert decoder.metadata("gas") is None


def test_times_of_the_meter_are_those_of_its_values() -> None:
    """Gas has one of its own; S and W tell the hour that comes twice apart."""
    config = Config(fields={"power": "1.7.0", "gas": "24.2.1"}, zone="Europe/Amsterdam")
    lines = (
        "0-0:1.0.0(261130201403W)",
        "1-0:1.7.0(00.383*kW)",
        "0-1:24.2.1(260725200000S)(00123.456*m3)",
    )
    power, gas = samples(config, *lines)
    assert power.time_us == us(2026, 11, 30, 19, 14, 3)
    assert (gas.value, gas.unit, gas.time_us) == (123.456, "m3", us(2026, 7, 25, 18, 0, 0))
    twice = [f"0-1:24.2.1(261025023000{flag})(1*m3)" for flag in "SW"]
    assert [one.time_us for one in samples(config, *twice)] == [
        us(2026, 10, 25, 0, 30),
        us(2026, 10, 25, 1, 30),
    ]


def test_without_a_zone_the_time_of_arrival_counts() -> None:
    """A local time cannot be placed."""
    config = Config(fields={"power": "1.7.0", "gas": "24.2.1"})
    lines = ("0-0:1.0.0(261130201403W)", "1-0:1.7.0(00.383*kW)", "0-1:24.2.1(261130200000W)(1*m3)")
    assert [one.time_us for one in samples(config, *lines)] == [None, None]


def test_the_time_of_a_telegram_is_not_that_of_the_next_one() -> None:
    """Which may have none."""
    config = Config(fields={"power": "1.7.0"}, zone="Europe/Amsterdam")
    assert [
        one.time_us
        for one in samples(
            config, "/XMX5", "0-0:1.0.0(261130201403W)", "/XMX5", "1-0:1.7.0(00.383*kW)"
        )
    ] == [None]


def test_a_telegram_may_come_whole() -> None:
    """Line by line inside."""
    text = "/XMX5\r\n\r\n1.8.0(0012.5*kWh)\r\nC.1(12345)\r\nF.F(00)\r\n!"
    assert samples(Config(fields={"import": "1.8.0"}), text) == [
        Sample("import", 12.5, unit="kW.h")
    ]


@pytest.mark.parametrize(
    "line", ["", "!", "/ESY5", "!1A2B", "\x02", "2.8.0*01(0005*kWh)", "0.9.1()"]
)
def test_what_nobody_asked_for_is_no_fault(line: str) -> None:
    """Nor what stands around the data."""
    assert samples(Config(fields={"import": "1.8.0"}), line) == []


def test_texts_and_unknown_units_stay_as_they_are() -> None:
    """A serial number is no quantity."""
    assert samples(Config(), "0-0:96.1.1(4B384547)") == [Sample("0-0:96.1.1", "4B384547")]
    assert samples(Config(), "1-0:9.9.9(12.5*xyzzy)") == [Sample("1-0:9.9.9", 12.5, unit="xyzzy")]


def test_a_value_of_an_earlier_billing_period_is_not_the_present_one() -> None:
    """Meters list them under the same code, with the period behind it."""
    lines = ("1.8.0(0010*kWh)", "1.8.0*255(0011*kWh)", "1.8.0*12(0009*kWh)", "1.8.0*11(0008*kWh)")
    wanted = samples(Config(fields={"import": "1.8.0", "last": "1.8.0*12"}), *lines)
    assert [(one.field, one.value) for one in wanted] == [
        ("import", 10),
        ("import", 11),
        ("last", 9),
    ]
    assert {one.field for one in samples(Config(), *lines)} == {"1.8.0", "1.8.0*12", "1.8.0*11"}


def test_a_short_code_stands_for_one_meter() -> None:
    """Gas and water behind one P1 port have the same code, and often the same unit."""
    decoder = Decoder(Config(fields={"gas": "24.2.1"}))
    assert [one.value for one in decoder.decode(b"0-1:24.2.1(123*m3)").samples] == [123]
    other = decoder.decode(b"0-2:24.2.1(77*m3)")
    assert (other.samples, [one.reason for one in other.faults]) == ([], [SEVERAL_GROUPS])
    assert [one.value for one in decoder.decode(b"0-1:24.2.1(124*m3)").samples] == [124]


def test_faults_are_named() -> None:
    """The next line is read."""
    decoder = Decoder(Config(zone="Europe/Amsterdam"))
    assert [one.reason for one in decoder.decode(b"1-0:1.8.1(0012").faults] == [NO_DATA]
    assert [one.reason for one in decoder.decode(b"\xff(1)").faults] == [BAD_ENCODING]
    found = decoder.decode(b"0-1:24.2.1(261399000000W)(1*m3)")
    assert [one.reason for one in found.faults] == [BAD_TIME]
    assert [one.value for one in found.samples] == [1]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"fields": {"a": "1-0"}}, 'fields: "1-0" is no OBIS code'),
        ({"fields": {"a/#": "1.8.1"}}, 'fields: "a/#"'),
        ({"fields": {"a": "1.8.1", "b": "1.8.1"}}, "fields: two fields name the same code"),
        ({"zone": "Mars"}, 'zone: "Mars" is no zone'),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    table: dict[str, object], fault: str
) -> None:
    """With what to do."""
    assert any(one.startswith(fault) for one in config_faults(Config, table))


def test_one_of_several_values_is_chosen_by_its_place() -> None:
    """The time of a gas meter is a text, the last value its volume."""
    config = Config(fields={"gas": "0-1:24.2.1", "gas_time": "0-1:24.2.1[0]"})
    assert samples(config, "0-1:24.2.1(170102161005W)(00000.107*m3)") == [
        Sample("gas", 0.107, unit="m3"),
        Sample("gas_time", "170102161005W"),
    ]
    assert "OBIS" in config_faults(Config, {"fields": {"x": "24.2.1[a]"}})[0]


def test_a_value_may_stand_in_the_next_line() -> None:
    """As the gas of DSMR 2 and 3 does."""
    config = Config(fields={"gas": "0-1:24.3.0", "unit": "0-1:24.3.0[5]"})
    telegram = "0-1:24.3.0(121030140000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00024.123)\r\n0-1:24.4.0(1)"
    assert samples(config, telegram) == [Sample("gas", 24.123), Sample("unit", "m3")]


def test_a_padded_count_is_a_number() -> None:
    """Meters pad all of their numbers: the tariff, the power failures."""
    (one,) = samples(Config(), "0-0:96.7.21(00004)")
    assert one.value == 4


def test_a_summer_time_in_winter_is_no_time() -> None:
    """The meter and its zone differ by an hour, and nobody knows which is right."""
    decoder = Decoder(Config(zone="Europe/Amsterdam"))
    found = decoder.decode(b"0-1:24.2.1(261130200000S)(1*m3)")
    assert [one.reason for one in found.faults] == [BAD_TIME]
    assert [(one.value, one.time_us) for one in found.samples] == [(1, None)]
