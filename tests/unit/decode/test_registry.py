"""Decoders are found by the names that a configuration uses."""

from __future__ import annotations

import importlib.metadata

import pytest

from sensord.decode import registry
from sensord.decode.choice import Choice
from sensord.decode.nested import Inner
from sensord.decode.number import Config, Decoder
from sensord.decode.sub_decoder import SubDecoder

EVERY_OPTION_NEEDED: dict[str, dict[str, object]] = {
    "choice": {"choices": (Choice(decoder="number"),)},
    "csv": {"fields": ("a",)},
    "nested": {"outer": SubDecoder(decoder="json"), "inner": {"a": Inner(decoder="number")}},
    "regex": {"pattern": "(?P<a>.)"},
}


@pytest.mark.parametrize("name", registry._MODULES)
def test_each_decoder_is_built_from_its_config(name: str) -> None:
    """It takes a message at once and has a word on metadata."""
    found = registry.find(name)
    assert found is not None
    assert found.name == name
    decoder = found.create(found.config(**EVERY_OPTION_NEEDED.get(name, {})))
    decoder.decode(b"1")
    assert decoder.metadata("nothing of that name") is None


def test_an_unknown_decoder_is_not_found() -> None:
    """The configuration reports it."""
    assert registry.find("no-such-decoder") is None


def test_third_parties_add_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an entry point that names a module like ours."""
    entry = importlib.metadata.EntryPoint("theirs", "sensord.decode.number", registry.ENTRY_POINTS)

    def entry_points(*, group: str, name: str | None = None) -> list[importlib.metadata.EntryPoint]:
        assert group == registry.ENTRY_POINTS
        return [entry] if name in {None, "theirs"} else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    found = registry.find("theirs")
    assert found is not None
    assert (found.config, found.build) == (Config, Decoder)
    assert registry.names() == sorted([*registry._MODULES, "theirs"])
