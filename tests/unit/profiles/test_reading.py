"""Profiles as files: found by name, merged with a user's own keys, refused with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord import profiles
from sensord.config.load import load
from sensord.decode import registry as decoders
from sensord.errors import ConfigError
from sensord.profiles import ProfileError, merged
from sensord.readers import registry as readers

GOOD = """
[profile]
title = "A thing"
models = ["T1"]
[device]
reader = "serial"
baud = 1200
decoder = "number"
channels.value = { unit = "Cel", range = [0, 50] }
[[samples]]
text = "21.5\\n"
expect = { value = 21.5 }
"""


def test_a_profile_and_a_port_are_a_configuration(tmp_path: Path) -> None:
    """The user's own keys come first, table by table."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thing.toml").write_text(GOOD)
    file = tmp_path / "c.toml"
    file.write_text(
        'profiles = "mine"\n'
        '[devices.a]\nprofile = "thing"\nport = "/dev/a"\nchannels.value.decimals = 1\n'
        '[devices.b]\nprofile = "mine/thing.toml"\nport = "/dev/b"\ntopic = "b/{field}"\n'
        '[devices.c]\nprofile = "sds011"\nport = "/dev/c"\n'
    )
    a, b, c = load(file, readers, decoders).devices
    rules = a.channels["value"]
    assert (rules.unit, rules.range, rules.decimals) == ("Cel", (0, 50), 1)
    assert (b.topic, c.decoder) == ("b/{field}", "binary")


def test_a_fault_names_the_profile_that_it_is_from(tmp_path: Path) -> None:
    """And not, where the key is the user's own."""
    (tmp_path / "thing.toml").write_text(GOOD.replace("baud = 1200", "baud = 1"))
    file = tmp_path / "c.toml"
    file.write_text('[devices.a]\nprofile = "thing.toml"\nport = "/dev/a"\ntopc = "x"\n')
    with pytest.raises(ConfigError) as caught:
        load(file, readers, decoders)
    found = {one.path: one.message for one in caught.value.faults}
    assert found["devices.a.baud"].endswith("(from the profile thing)")
    assert found["devices.a.topc"] == "unknown key; did you mean topic?"


def test_a_profile_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    """In the configuration, at its key."""
    file = tmp_path / "c.toml"
    file.write_text('[devices.a]\nprofile = "sds01"\n[devices.b]\nprofile = 5\n')
    with pytest.raises(ConfigError) as caught:
        load(file, readers, decoders)
    found = {(one.path, one.line): one.message for one in caught.value.faults}
    assert found["devices.a.profile", 2] == 'there is no profile "sds01"; did you mean sds011?'
    assert "expected the name of a profile" in found["devices.b.profile", 4]
    with pytest.raises(ProfileError, match="sensord profiles lists"):
        profiles.find("xyzzy-unknown")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = ", "is not TOML"),
        ("[device]", "[profile] with a title is missing"),
        ('[profile]\ntitle = "x"', "[device] with the keys"),
        (GOOD + "[extra]", "unknown key extra"),
        (GOOD.replace("text", "hex"), "hex: non-hexadecimal"),
        (GOOD.replace("text =", "txt ="), "give one of hex, text, messages and files"),
        (GOOD.replace("expect = { value = 21.5 }", ""), "expect or faults is missing"),
        (GOOD.replace('text = "21.5\\n"', "messages = [[1, 2]]"), "pairs of topic and payload"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    """With its name and what is wrong."""
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(ProfileError) as caught:
        profiles.read(file)
    assert fault in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """As given."""
    with pytest.raises(ProfileError, match="No such file"):
        profiles.find(str(tmp_path / "x.toml"))


def test_another_decoder_replaces_that_of_the_profile() -> None:
    """The keys of two kinds do not mix; those of one kind do."""
    profile = {"decoder": {"type": "csv", "fields": ["a"]}, "channels": {"a": {"unit": "V"}}}
    assert merged(profile, {"decoder": {"type": "json"}})["decoder"] == {"type": "json"}
    assert merged(profile, {"decoder": "json"})["decoder"] == "json"
    own = {"decoder": {"separator": ";"}, "channels": {"a": {"decimals": 1}, "b": {}}}
    assert merged(profile, own) == {
        "decoder": {"type": "csv", "fields": ["a"], "separator": ";"},
        "channels": {"a": {"unit": "V", "decimals": 1}, "b": {}},
    }
