"""Channels as entities: component, unit, class, availability, commands."""

from __future__ import annotations

import pytest

from sensord.model.readings import Channel, Metadata, Value, ValueType
from sensord.uplinks.home_assistant import Place, entity, payload_value

PLACE = Place(
    "homeassistant", "sensord_gw", "sensord/plant/t", "sensord/plant/t/set", "sensord/status"
)


def found(
    topic: str, metadata: Metadata, settable: dict[str, Value] | None = None
) -> dict[str, Value]:
    return entity(Channel(1, topic, metadata), PLACE, settable).config


def test_a_temperature_is_a_sensor_of_its_device() -> None:
    """With unit, class and the decimals to show."""
    channel = Channel(
        1, "plant/boiler/flow_temperature", Metadata(unit="Cel", decimals=1, device="boiler")
    )
    made = entity(channel, PLACE)
    assert made.topic == (
        "homeassistant/sensor/sensord_gw/sensord_gw_plant_boiler_flow_temperature/config"
    )
    config = made.config
    assert config["name"] == "boiler flow temperature"
    assert config["unit_of_measurement"] == "°C"
    assert config["device_class"] == "temperature"
    assert config["state_class"] == "measurement"
    assert config["suggested_display_precision"] == 1
    assert config["state_topic"] == "sensord/plant/t"
    device = config["device"]
    assert isinstance(device, dict)
    assert (device["name"], device["identifiers"]) == ("boiler", ["sensord_gw_boiler"])


def test_an_energy_is_a_total_for_the_energy_dashboard() -> None:
    """It must be increasing there."""
    config = found("m/e", Metadata(unit="kW.h"))
    assert (config["device_class"], config["state_class"]) == ("energy", "total_increasing")


@pytest.mark.parametrize(
    ("topic", "unit", "device_class"),
    [
        ("room/humidity", "%", "humidity"),
        ("door/battery", "%", "battery"),
        ("x/load", "%", None),
        ("air/co2", "[ppm]", "carbon_dioxide"),
        ("air/pm2_5", "ug/m3", "pm25"),
        ("air/pm10", "ug/m3", "pm10"),
    ],
)
def test_a_unit_of_many_quantities_needs_a_word_in_the_topic(
    topic: str, unit: str, device_class: str | None
) -> None:
    """Without one the class is left open, and not guessed."""
    assert found(topic, Metadata(unit=unit)).get("device_class") == device_class


def test_an_unknown_unit_is_shown_without_a_class() -> None:
    """Home Assistant refuses a class with a unit that it does not know."""
    config = found("x/n", Metadata(unit="{count}"))
    assert config["unit_of_measurement"] == "count"
    assert "device_class" not in config


@pytest.mark.parametrize(
    ("value_type", "settable", "component"),
    [
        (ValueType.BOOL, None, "binary_sensor"),
        (ValueType.BOOL, {"type": "bool"}, "switch"),
        (ValueType.STRING, {"type": "string"}, "text"),
        (ValueType.STRING, {"choices": ["a", "b"]}, "select"),
        (ValueType.FLOAT, {"range": [5, 80]}, "number"),
        (ValueType.JSON, None, "sensor"),
    ],
)
def test_what_can_be_set_is_an_entity_to_operate(
    value_type: ValueType, settable: dict[str, Value] | None, component: str
) -> None:
    """With its limits and choices."""
    made = entity(Channel(1, "a/b", Metadata(value_type)), PLACE, settable)
    assert made.topic.split("/")[1] == component
    assert ("command_topic" in made.config) == (settable is not None)
    if component == "number":
        assert (made.config["min"], made.config["max"]) == (5, 80)
    if component == "select":
        assert made.config["options"] == ["a", "b"]


def test_payloads_of_commands_become_values_of_the_type() -> None:
    """Or are refused."""
    assert payload_value("true", ValueType.BOOL) is True
    assert payload_value("21.0", ValueType.INT) == 21
    assert payload_value("21.5", ValueType.INT) == 21.5
    assert payload_value("21.5", ValueType.FLOAT) == 21.5
    assert payload_value("x", ValueType.STRING) == "x"
    for text, value_type in (("?", ValueType.BOOL), ("x", ValueType.FLOAT)):
        with pytest.raises(ValueError, match=r"expected|could not"):
            payload_value(text, value_type)
