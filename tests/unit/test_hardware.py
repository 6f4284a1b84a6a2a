"""What `hardware/` and `docs/devices.md` show works: each configuration, firmware and rule."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sensord import profiles
from sensord.cli import main
from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.readers import registry as readers
from sensord.trial.bench import Bench, device_of

ROOT = Path(__file__).parents[2]
HARDWARE = ROOT / "hardware"

# -- the table of devices --------------------------------------------------------------------------


LISTED = runpy.run_path(str(ROOT / "scripts" / "list_devices.py"))


def test_the_table_has_every_profile_as_it_is() -> None:
    """Run `scripts/list_devices.py` after a change of a profile."""
    assert (HARDWARE / "devices.md").read_text() == LISTED["page"]()


@pytest.mark.parametrize("name", profiles.names())
def test_three_lines_are_a_whole_configuration(name: str) -> None:
    """Every device of the table: what is written there passes the check."""
    lines = LISTED["configuration"](profiles.find(name))
    assert len(lines) <= 3
    config = parse("\n".join(lines), "c.toml", readers, decoders)
    assert config.devices[0].name == name


# -- firmware --------------------------------------------------------------------------------------

MEASURED = [(44.1, 21.5), (0.0, -10.25), (100.0, 80.0)]
"""Humidity and temperature."""


class EndOfTestError(Exception):
    """Ends the firmware's endless loop."""


def printed_by_micropython(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """Run the firmware on this Python, with a sensor that measures, and fails once."""
    measured: Iterator[tuple[float, float] | None] = iter([*MEASURED[:2], None, MEASURED[2]])

    class Sensor:
        def __init__(self, _pin: object) -> None:
            self.now = (0.0, 0.0)

        def measure(self) -> None:
            found = next(measured, (0.0, 0.0))
            if found is None:
                raise OSError
            self.now = found

        def humidity(self) -> float:
            return self.now[0]

        def temperature(self) -> float:
            return self.now[1]

    slept: list[int] = []

    def sleep_ms(period: int) -> None:
        slept.append(period)
        if len(slept) == len(MEASURED) + 1:
            raise EndOfTestError

    modules = {
        "dht": SimpleNamespace(DHT22=Sensor),
        "machine": SimpleNamespace(Pin=lambda number: number),
        "time": SimpleNamespace(sleep_ms=sleep_ms),
    }
    for name, stub in modules.items():
        module = ModuleType(name)
        vars(module).update(vars(stub))
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(EndOfTestError):
        runpy.run_path(str(HARDWARE / "firmware" / "pico_dht" / "main.py"), run_name="__main__")
    return capsys.readouterr().out


def read_by(profile: str, text: str) -> tuple[list[tuple[str, object]], int]:
    """Return what a profile makes of a text, and how many faults."""
    bench = Bench(device_of(profiles.find(profile)))
    bench.stream(text.replace("\n", "\r\n").encode())
    found: list[tuple[str, object]] = [(one.topic, one.value) for one in bench.outcomes()]
    return found, sum(bench.faults.values())


EXPECTED = [
    reading
    for humidity, celsius in MEASURED
    for reading in (("sample/humidity", humidity), ("sample/temperature", celsius))
]


def test_the_profile_reads_what_the_micropython_firmware_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each value; the line of a failed measurement is passed over."""
    text = printed_by_micropython(monkeypatch, capsys)
    assert "Failed" in text
    assert read_by("dht_tester", text) == (EXPECTED, 0)


def test_the_profile_reads_what_the_arduino_sketch_prints() -> None:
    """The calls that print, carried out: there is no compiler for the board here."""
    sketch = (HARDWARE / "firmware" / "arduino_dht" / "arduino_dht.ino").read_text()
    body = sketch[sketch.index("  Serial.print(") :]
    text = ""
    for humidity, celsius in MEASURED:
        values = {"humidity": humidity, "celsius": celsius}
        for end, literal, name, places in re.findall(
            r'Serial\.print(ln)?\((?:"([^"]*)"|(\w+), (\d))\);', body
        ):
            text += f"{values[name]:.{places}f}" if name else literal.replace(r"\t", "\t")
            text += "\n" if end else ""
    assert read_by("dht_tester", text) == (EXPECTED, 0)


# -- rules -----------------------------------------------------------------------------------------

MATCH = re.compile(r'(SUBSYSTEM|DRIVER|ACTION|ATTRS?\{\w+\}|ENV\{\w+\})=="[^"]+"')
ASSIGN = re.compile(r'(SYMLINK\+|ATTR\{\w+\}|ENV\{\w+\})="[^"]+"')


def test_every_rule_is_one_that_udev_reads() -> None:
    """Matches first, then what is assigned; each is what the page explains."""
    lines = (HARDWARE / "70-sensors.rules").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert len(rules) == 4
    page = (HARDWARE / "README.md").read_text()
    assert "70-sensors.rules" in page
    for rule in rules:
        parts = rule.split(", ")
        kinds = ["=" if ASSIGN.fullmatch(part) else "==" for part in parts]
        assert all(MATCH.fullmatch(part) or ASSIGN.fullmatch(part) for part in parts), rule
        assert kinds == sorted(kinds, reverse=True), rule


# -- from a device to a reading --------------------------------------------------------------------

PAGE = (ROOT / "docs" / "devices.md").read_text()


def examples() -> Iterator[tuple[str, str, str]]:
    """Yield the commands of the page, with the configuration before them and what they print."""
    config = ""
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        if kind == "toml":
            config = block
        elif block.startswith("$ sensord try "):
            command, _, output = block.partition("\n")
            yield command.removeprefix("$ sensord "), config, output


@pytest.mark.parametrize(("command", "config", "output"), list(examples()))
def test_the_examples_of_the_page_come_out_as_printed(
    command: str, config: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of text, a binary frame, a broker and a bus: from the bytes to the reading."""
    (tmp_path / "config.toml").write_text(config)
    arguments = shlex.split(command)
    found = [one if one != "config.toml" else str(tmp_path / one) for one in arguments]
    assert main(found) == 0
    assert capsys.readouterr().out == output


def test_the_page_has_three_ways_from_a_thing_to_a_reading() -> None:
    """A text line, a binary frame and a bus, at least."""
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    assert {"A line of text", "A binary frame", "A bus"} <= set(titles)
    assert len(list(examples())) >= 4
