"""`sensord profiles` and `sensord try`, as somebody with a new device uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.cli import main
from sensord.profiles import names


def test_profiles_are_listed_shown_and_tested(capsys: pytest.CaptureFixture[str]) -> None:
    """The list has a title for each."""
    assert main(["profiles"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == names()
    assert main(["profiles", "show", "sds011"]) == 0
    assert 'profile = "sds011"' in capsys.readouterr().out
    assert main(["profiles", "test", "sds011", "dsmr"]) == 0
    assert "sds011: 2 samples as expected" in capsys.readouterr().out
    assert main(["profiles", "show", "sds01"]) == 1
    assert "did you mean sds011?" in capsys.readouterr().err
    assert main(["profiles", "show"]) == 2


def test_a_profile_that_fails_its_samples_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named with what came out."""
    file = tmp_path / "mine.toml"
    file.write_text(
        '[profile]\ntitle = "x"\n[device]\nreader = "serial"\ndecoder = "number"\n'
        '[[samples]]\ntext = "1\\n"\nexpect = { value = 2 }\n'
    )
    assert main(["profiles", "test", str(file)]) == 1
    assert "mine: sample 1: value is value 1.0, expected 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--decoder", "json", '{"t": 21.5}'], ["sample/t", "21.5"]),
        (["--profile", "sds011", "--hex", "AA C0 D4 04 3A 0A A1 60 1D AB"], ["123.6 ug/m3"]),
        (
            ["--table", 'decoder = "number"\nchannels.value = { unit = "Cel" }', "21.5"],
            ["sample/value", "21.5 Cel"],
        ),
        (["--decoder", "any", "--topic", "a/b", "on"], ["a/b/value", "on"]),
        (
            ["--profile", "tasmota", "--topic", "stat/plug/POWER", "ON"],
            ["tasmota/plug/relay", "True"],
        ),
    ],
)
def test_a_message_is_tried_without_a_device(
    arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Through a decoder, a profile or a table."""
    assert main(["try", *arguments]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in shown), out


def test_what_cannot_be_read_is_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason that the daemon would count."""
    assert main(["try", "--decoder", "number", "abc"]) == 1
    assert "fault: not a number" in capsys.readouterr().err
    config = tmp_path / "c.toml"
    config.write_text('[devices.a]\nreader = "serial"\nport = "/dev/a"\ndecoder = "number"\n')
    (tmp_path / "sample").write_bytes(b"5\n")
    arguments = ["--config", str(config), "--device", "a", "--file", str(tmp_path / "sample")]
    assert main(["try", *arguments]) == 0
    assert "a/value" in capsys.readouterr().out
    assert main(["try", "--profile", "sds011", "--hex", "AA C0"]) == 1
    assert "may be incomplete" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["x"], ["--decoder", "json", "--profile", "x"], ["--decoder", "json", "--hex", "A"]],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    """With what to give."""
    assert main(["try", *arguments]) == 2
