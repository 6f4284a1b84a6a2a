"""Recognise the fields by which a stream identifies which of several devices sent it.

A receiver or a gateway passes on the messages of many devices, with an id in each. Where the topic
does not have that id, their values alternate in one channel. Pure.
"""

from __future__ import annotations

import re

__all__ = ["is_certain", "is_id", "is_label"]

_CERTAIN_NAMES = (
    "node nodeid sensorid deviceid devid devaddr deveui mac macaddr macaddress mmsi imei eui eui64"
    " ieee ieeeaddr ieeeaddress unitid slave slaveid stationid probeid romid"
)
"""What names a device wherever it stands."""

_LIKELY_NAMES = "id uid addr address serial serialno serialnumber sn station sensor probe rom"
"""What names a device if it alternates."""

_LABEL_NAMES = "name type valuetype key sensor parameter quantity measurement label n"
"""What says of an element of a list which quantity its value is."""

_CERTAIN = frozenset(_CERTAIN_NAMES.split())
_LIKELY = _CERTAIN | frozenset(_LIKELY_NAMES.split())
_LABELS = frozenset(_LABEL_NAMES.split())


def is_certain(field: str) -> bool:
    """Return whether a field names a device, by its name alone."""
    return _plain(field) in _CERTAIN


def is_id(field: str) -> bool:
    """Return whether a field names a device if its values alternate."""
    return _plain(field) in _LIKELY


def is_label(field: str) -> bool:
    """Return whether a field labels another one, in an element of a list."""
    *levels, _ = field.split("/")
    return any(level.isdecimal() for level in levels) and _plain(field) in _LABELS


def _plain(field: str) -> str:
    return re.sub(r"[^a-z0-9]", "", field.rpartition("/")[2].casefold())
