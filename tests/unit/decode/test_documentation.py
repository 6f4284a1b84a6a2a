"""The operator's page says what the decoders do."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from sensord.decode import (
    ais,
    any_value,
    binary,
    choice,
    csv_line,
    framing,
    json_paths,
    key_value,
    nested,
    number,
    obis,
    regex,
    registry,
    sml,
    sparkplug,
    text,
)
from sensord.decode.framing import blocks, frames, lines, packed, sml_transport
from sensord.decode.nmea0183 import decoder as nmea0183
from sensord.decode.nmea0183.quantities import FIELDS
from sensord.decode.nmea0183.sentences import SENTENCES
from tests.unit.decode.streams import config_faults

PAGE = (Path(__file__).parents[3] / "docs" / "decoders.md").read_text()

SECTIONS = {
    title.strip(): body
    for title, _, body in (
        part.partition("\n") for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)
    )
}

MODULES = {
    "ais": ais,
    "any": any_value,
    "binary": binary,
    "choice": choice,
    "csv": csv_line,
    "json": json_paths,
    "key_value": key_value,
    "nested": nested,
    "nmea0183": nmea0183,
    "number": number,
    "obis": obis,
    "regex": regex,
    "sml": sml,
    "sparkplug": sparkplug,
    "Lines": lines,
    "Blocks": blocks,
    "Frames": frames,
    "Packets": packed,
    "SML files": sml_transport,
}
FRAMINGS = {"Lines", "Blocks", "Frames", "Packets", "SML files"}


def rows(section: str) -> dict[str, str]:
    """Return the tables of a section: each code in a first cell, and the second cell."""
    found: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        for code in re.findall(r"`([^`]+)`", cells[0]) if line.startswith("| `") else []:
            found[code] = cells[1] if len(cells) > 1 else ""
    return found


def test_every_decoder_has_a_section() -> None:
    """And is in the table at the top."""
    assert (
        set(registry._MODULES) == set(MODULES) - FRAMINGS == set(SECTIONS) & set(MODULES) - FRAMINGS
    )
    top = PAGE.partition("## ")[0]
    assert set(registry._MODULES) == set(re.findall(r"\(#(\w+)\)", top))


@pytest.mark.parametrize("title", MODULES)
def test_every_option_is_in_its_table(title: str) -> None:
    """Those of all text decoders stand in one place."""
    shared = {
        "encoding",
        "decimal_comma",
        "text_fields",
        "time",
        "time_unit",
        "zone",
        "unit_fields",
    }
    options = {option.name for option in dataclasses.fields(MODULES[title].Config)}
    # Packets have the options of frames.
    section = SECTIONS[title] + (
        SECTIONS["Frames"] + SECTIONS["Lines"] if title in FRAMINGS else ""
    )
    assert options - shared <= set(rows(section))
    assert shared <= set(rows(SECTIONS["What holds for all of them"]))
    assert {option.name for option in dataclasses.fields(text.TextOptions)} <= shared


@pytest.mark.parametrize("title", MODULES)
def test_every_reason_of_a_fault_is_in_its_table(title: str) -> None:
    """It is what an operator looks up."""
    module = MODULES[title]
    reasons = {
        value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and name in module.__all__
    }
    assert reasons
    assert reasons <= set(rows(SECTIONS[title]))


def test_every_example_is_a_right_configuration() -> None:
    """As the daemon would check it."""
    checked = set()
    for block in re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL):
        for device in tomllib.loads(block)["devices"].values():
            if "framing" in device:
                kind = framing.KINDS[device["framing"].get("type", "line")]
                assert config_faults(kind, device["framing"]) == []
            options = device.get("decoder", {})
            if isinstance(options, str):
                options = {"type": options}
            if options:
                found = registry.find(options.pop("type"))
                assert found is not None
                assert config_faults(found.config, options) == []
                checked.add(found.name)
    assert checked == set(registry._MODULES)


def test_every_field_of_nmea_is_listed_with_its_unit() -> None:
    """And no other."""
    listed = rows(SECTIONS["nmea0183"])
    units = {field: metadata.unit for field, metadata in FIELDS.items() if field != "satellites"}
    assert {field: listed[field] for field in units} == units
    table = SECTIONS["nmea0183"].partition("| field | unit | from |")[2].partition("\n\n")[0]
    assert set(rows(table)) == {*FIELDS, "xdr/<name>"}


def test_every_sentence_is_listed() -> None:
    """In the order of the alphabet."""
    line = re.search(r"^Sentences: (.*)\.$", SECTIONS["nmea0183"], flags=re.MULTILINE)
    assert line is not None
    assert line[1].split(", ") == sorted(SENTENCES)
