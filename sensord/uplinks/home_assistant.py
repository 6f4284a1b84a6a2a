"""Channels as entities of Home Assistant, announced by MQTT discovery. Pure.

Source: Home Assistant's documentation of MQTT discovery, and of the device classes of sensors with
the units that each accepts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from sensord.model.readings import Channel, Value, ValueType

__all__ = ["Entity", "Place", "entity", "payload_value"]


class _Quantity(NamedTuple):
    unit: str
    device_class: str = ""
    state_class: str = "measurement"


_TOTAL = "total_increasing"

_QUANTITIES: dict[str, _Quantity] = {
    "Cel": _Quantity("°C", "temperature"),
    "[degF]": _Quantity("°F", "temperature"),
    "K": _Quantity("K", "temperature"),
    "%": _Quantity("%"),
    "Pa": _Quantity("Pa", "pressure"),
    "hPa": _Quantity("hPa", "pressure"),
    "kPa": _Quantity("kPa", "pressure"),
    "mbar": _Quantity("mbar", "pressure"),
    "bar": _Quantity("bar", "pressure"),
    "[psi]": _Quantity("psi", "pressure"),
    "[in_i'Hg]": _Quantity("inHg", "pressure"),
    "V": _Quantity("V", "voltage"),
    "mV": _Quantity("mV", "voltage"),
    "A": _Quantity("A", "current"),
    "mA": _Quantity("mA", "current"),
    "W": _Quantity("W", "power"),
    "kW": _Quantity("kW", "power"),
    "V.A": _Quantity("VA", "apparent_power"),
    "W.h": _Quantity("Wh", "energy", _TOTAL),
    "kW.h": _Quantity("kWh", "energy", _TOTAL),
    "MW.h": _Quantity("MWh", "energy", _TOTAL),
    "Hz": _Quantity("Hz", "frequency"),
    "kHz": _Quantity("kHz", "frequency"),
    "lx": _Quantity("lx", "illuminance"),
    "[ppm]": _Quantity("ppm"),
    "[ppb]": _Quantity("ppb"),
    "ug/m3": _Quantity("µg/m³"),
    "m/s": _Quantity("m/s", "speed"),
    "km/h": _Quantity("km/h", "speed"),
    "[kn_i]": _Quantity("kn", "speed"),
    "[mi_i]/h": _Quantity("mph", "speed"),
    "mm": _Quantity("mm", "distance"),
    "cm": _Quantity("cm", "distance"),
    "m": _Quantity("m", "distance"),
    "km": _Quantity("km", "distance"),
    "L": _Quantity("L"),
    "m3": _Quantity("m³"),
    "L/min": _Quantity("L/min", "volume_flow_rate"),
    "m3/h": _Quantity("m³/h", "volume_flow_rate"),
    "g": _Quantity("g", "weight"),
    "kg": _Quantity("kg", "weight"),
    "deg": _Quantity("°"),
    "s": _Quantity("s", "duration"),
    "min": _Quantity("min", "duration"),
    "h": _Quantity("h", "duration"),
    "d": _Quantity("d", "duration"),
    "dB[mW]": _Quantity("dBm", "signal_strength"),
    "dB": _Quantity("dB", "signal_strength"),
    "[pH]": _Quantity("pH"),
    "uS/cm": _Quantity("µS/cm", "conductivity"),
    "W/m2": _Quantity("W/m²", "irradiance"),
}

_BY_NAME: dict[str, list[tuple[str, str]]] = {
    "%": [("humid", "humidity"), ("batter", "battery"), ("moisture", "moisture")],
    "[ppm]": [("co2", "carbon_dioxide")],
    "ug/m3": [
        ("pm2_5", "pm25"), ("pm25", "pm25"), ("pm10", "pm10"), ("pm1", "pm1"),
    ],
}  # fmt: skip
"""What a unit alone leaves open, and a word in the topic decides."""


class Place(NamedTuple):
    """Where an entity is announced, and where its state and commands are published."""

    discovery_prefix: str
    gateway: str
    """The id of the gateway: part of every unique id."""
    state_topic: str
    command_topic: str
    status_topic: str
    """Where the uplink reports ``online`` and ``offline``."""


class Entity(NamedTuple):
    """An announcement: publish ``config`` as JSON, retained, under ``topic``."""

    topic: str
    config: dict[str, Value]


def entity(channel: Channel, place: Place, settable: Mapping[str, Value] | None = None) -> Entity:
    """Return the announcement of a channel; ``settable`` describes what it may be set to."""
    metadata = channel.metadata
    unique = _identifier(f"{place.gateway}_{channel.topic}")
    levels = channel.topic.split("/")
    component = _component(metadata.type, settable)
    config: dict[str, Value] = {
        "name": " ".join(levels[1:] or levels).replace("_", " "),
        "unique_id": unique,
        "object_id": unique,
        "state_topic": place.state_topic,
        "value_template": _template(metadata.type),
        "availability_mode": "all",
        "availability": [
            {"topic": place.status_topic},
            {
                "topic": place.state_topic,
                "value_template": "{{ 'offline' if value_json.quality == 'bad' else 'online' }}",
            },
        ],
        "device": _device(channel, place),
        "origin": {"name": "sensord"},
    }
    config |= _quantity(channel, component)
    config |= _command(component, place, settable)
    if metadata.decimals is not None and component == "sensor":
        config["suggested_display_precision"] = metadata.decimals
    topic = f"{place.discovery_prefix}/{component}/{_identifier(place.gateway)}/{unique}/config"
    return Entity(topic, config)


def payload_value(text: str, value_type: ValueType) -> Value:
    """Return the value of a command's payload.

    Raises:
        ValueError: It is not of the type.
    """
    match value_type:
        case ValueType.BOOL:
            words = {"true": True, "on": True, "false": False, "off": False}
            if text.strip().lower() not in words:
                raise ValueError(f"expected true or false, got {text[:40]!r}")
            return words[text.strip().lower()]
        case ValueType.INT:
            return int(float(text)) if float(text).is_integer() else float(text)
        case ValueType.FLOAT:
            return float(text)
        case _:
            return text


def _component(value_type: ValueType, settable: Mapping[str, Value] | None) -> str:
    if settable is None:
        return "binary_sensor" if value_type is ValueType.BOOL else "sensor"
    if settable.get("choices"):
        return "select"
    match value_type:
        case ValueType.BOOL:
            return "switch"
        case ValueType.FLOAT | ValueType.INT:
            return "number"
        case _:
            return "text"


def _template(value_type: ValueType) -> str:
    if value_type is ValueType.BOOL:
        return "{{ 'ON' if value_json.value else 'OFF' }}"
    if value_type is ValueType.JSON:
        return "{{ value_json.value | tojson | truncate(250) }}"
    return "{{ value_json.value }}"


def _device(channel: Channel, place: Place) -> dict[str, Value]:
    name = channel.metadata.device or channel.topic.partition("/")[0]
    return {
        "identifiers": [_identifier(f"{place.gateway}_{name}")],
        "name": name,
        "via_device": _identifier(place.gateway),
    }


def _quantity(channel: Channel, component: str) -> dict[str, Value]:
    unit = channel.metadata.unit
    if not unit or component not in {"sensor", "number"}:
        return {}
    known = _QUANTITIES.get(unit)
    if known is None:
        return {"unit_of_measurement": unit.strip("{}[]")}
    found: dict[str, Value] = {"unit_of_measurement": known.unit}
    topic = channel.topic.lower()
    by_name = (kind for word, kind in _BY_NAME.get(unit, []) if word in topic)
    device_class = next(by_name, known.device_class)
    if device_class:
        found["device_class"] = device_class
    if component == "sensor":
        found["state_class"] = known.state_class
    return found


def _command(
    component: str, place: Place, settable: Mapping[str, Value] | None
) -> dict[str, Value]:
    if settable is None:
        return {}
    found: dict[str, Value] = {"command_topic": place.command_topic}
    limits = settable.get("range")
    if component == "number" and isinstance(limits, list) and len(limits) == 2:  # noqa: PLR2004  # a pair
        found |= {"min": limits[0], "max": limits[1], "mode": "box"}
    if component == "switch":
        found |= {"payload_on": "true", "payload_off": "false", "state_on": "ON"}
        found["state_off"] = "OFF"
    if component == "select":
        choices = settable.get("choices")
        found["options"] = [str(one) for one in choices] if isinstance(choices, list) else []
    return found


def _identifier(text: str) -> str:
    """Return a text of the characters that Home Assistant allows in ids."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)
