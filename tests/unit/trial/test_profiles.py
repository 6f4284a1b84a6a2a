"""A profile that does not read its device fails its test, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.profiles import read
from sensord.trial.profiles import check

HEAD = """
[profile]
title = "A thing"
[device]
reader = "serial"
decoder = "number"
channels.value = { unit = "Cel" }
"""
MQTT = """
[profile]
title = "A thing"
[device]
reader = "mqtt"
decoder = "number"
topics = [{ filter = "a/+", topic = "{1}", availability = { filter = "up/{1}" } }]
"""


def found(folder: Path, text: str) -> list[str]:
    file = folder / "thing.toml"
    file.write_text(text)
    return list(check(read(file)))


@pytest.mark.parametrize(
    ("sample", "wrong"),
    [
        ('text = "21.5\\n"\nexpect = { value = 21.5 }', ""),
        ('text = "21.5\\n"\nexpect = { value = { value = 21.5, unit = "Cel" } }', ""),
        ('text = "21.5\\n"\nexpect = { value = 21 }', "value is value 21.5, expected 21"),
        ('text = "21.5\\n"\nexpect = { value = { unit = "K" } }', "unit 'Cel', expected 'K'"),
        ('text = "21.5\\n"\nexpect = { x = 1 }', "x is missing; there are sample/value"),
        ('text = "?\\n"\nexpect = { value = 1 }', "faults {'not a number': 1}, expected {}"),
        ('text = "?\\n"\nfaults = { "not a number" = 1 }', ""),
        ('text = "1\\n"\nexpect = { value = { value = 1, unt = "K" } }', "unknown key unt"),
        ('text = "1\\n"\nexpect = { value = true }', "value 1.0, expected True"),
        (
            'messages = [["a", "1"]]\nexpect = { value = 1 }',
            "messages are for devices of the reader",
        ),
    ],
)
def test_what_comes_out_is_compared(tmp_path: Path, sample: str, wrong: str) -> None:
    """Value, unit, quality and faults."""
    lines = found(tmp_path, f"{HEAD}[[samples]]\n{sample}\n")
    assert bool(lines) == bool(wrong)
    assert any(wrong in line for line in lines) or not wrong, lines


def test_a_profile_without_samples_fails(tmp_path: Path) -> None:
    """Nothing shows that it reads its device."""
    assert "has no samples" in found(tmp_path, HEAD)[0]


def test_a_profile_with_faults_fails(tmp_path: Path) -> None:
    """All of them are named."""
    [line] = found(tmp_path, HEAD.replace("decoder =", "decodr ="))
    assert "decodr: unknown key; did you mean decoder?" in line


def test_messages_take_the_way_of_their_filter(tmp_path: Path) -> None:
    """Availability topics too; one that no filter selects is a mistake."""
    good = 'messages = [["a/x", "1"], ["up/x", "offline"]]\n'
    good += 'expect = { x = { value = 1, reason = "disconnected" } }\n'
    assert found(tmp_path, f"{MQTT}[[samples]]\n{good}") == []
    bad = 'messages = [["b/x", "1"]]\nexpect = { x = 1 }\n'
    assert "no filter of the device selects b/x" in found(tmp_path, f"{MQTT}[[samples]]\n{bad}")[0]
