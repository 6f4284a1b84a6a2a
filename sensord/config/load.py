"""Load a configuration file and report all its faults at once.

Besides reading the file, it checks the paths of ports and of the journal: links are followed, and a
file where a folder should be is found. No device and no network is touched.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from sensord import profiles
from sensord.config.build import Registry, build
from sensord.config.lines import Lines
from sensord.config.schema import Faults
from sensord.config.schema import Path as KeyPath
from sensord.config.tree import Config
from sensord.errors import ConfigError, ConfigFault
from sensord.host.files import read_text

__all__ = ["load", "located", "parse", "with_profiles"]


def load(
    file: Path, readers: Registry, decoders: Registry, uplinks: Registry | None = None
) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: It cannot be read, or has faults: all are reported.
    """
    try:
        # Windows' editors put a byte order mark in front.
        text = read_text(file, "utf-8-sig")
    except OSError as exc:
        raise ConfigError(
            [ConfigFault(str(file), 0, "", f"cannot be read: {exc.strerror}")]
        ) from exc
    except UnicodeDecodeError as exc:
        message = f"is not UTF-8 text: {exc.reason} at byte {exc.start}; save it as UTF-8"
        raise ConfigError([ConfigFault(str(file), 0, "", message)]) from exc
    return parse(text, str(file), readers, decoders, os.path.realpath, _is_no_folder, uplinks)


def parse(
    text: str,
    file: str,
    readers: Registry,
    decoders: Registry,
    resolve: Callable[[str], str] = os.path.normpath,
    is_no_folder: Callable[[str], bool] = lambda _: False,
    uplinks: Registry | None = None,
) -> Config:
    """Check the text of a configuration; ``file`` is its name in messages.

    ``resolve`` follows the symbolic links of a path: two names may be those of one port.
    ``is_no_folder`` tells whether something else than a folder stands in its place.

    Raises:
        ConfigError: It has faults: all are reported.
    """
    try:
        raw = tomllib.loads(text)
    # Beside its own ValueError: an integer of thousands of digits, arrays nested without end.
    except (ValueError, RecursionError) as exc:
        found = re.search(r"\(at line (\d+), column \d+\)", str(exc))
        line = int(found[1]) if found else text.count("\n") + 1
        raise ConfigError([ConfigFault(file, line, "", f"is not TOML: {exc}")]) from exc
    faults = Faults()
    raw, taken = with_profiles(raw, Path(file).parent, faults)
    config = build(raw, faults, readers, decoders, resolve, uplinks)
    if config is not None and is_no_folder(config.journal.folder):
        faults.add(("journal", "folder"), f"{config.journal.folder} is there, and is no folder")

    def placed(found: list[tuple[KeyPath, str]]) -> list[ConfigFault]:
        return located([(at, why + _origin(at, taken)) for at, why in found], text, file)

    if config is None or faults.found:
        raise ConfigError(placed(faults.found))
    return dataclasses.replace(config, warnings=tuple(placed(faults.doubts)), tables=raw)


def located(found: list[tuple[KeyPath, str]], text: str, file: str) -> list[ConfigFault]:
    """Return faults with the lines that their keys have in a text, in order."""
    lines = Lines(text)
    each = {ConfigFault(file, lines.of(at), _dotted(at), message) for at, message in found}
    return sorted(each, key=lambda fault: (fault.line, fault.path))


_UNIT_KEYS = """
unit registers table type numbering word_order byte_order max_gap max_span readable interval timeout
writable actions description
"""

UNIT_KEYS = frozenset(_UNIT_KEYS.split())
"""The keys of a profile that are a unit's; the others are its connection's."""


def with_profiles(
    raw: dict[str, Any], folder: Path, faults: Faults
) -> tuple[dict[str, Any], dict[str, tuple[str, Collection[str]]]]:
    """Put the profiles in that devices name; return by device which one, and its own keys."""
    devices, own = raw.get("devices"), raw.pop("profiles", "")
    if not isinstance(own, str):
        faults.add(("profiles",), "expected the path of a folder")
        own = ""
    taken: dict[str, tuple[str, Collection[str]]] = {}
    if not isinstance(devices, dict):
        return raw, taken
    for name, table in devices.items():
        if not isinstance(table, dict):
            continue
        _put_units(table, ("devices", name), folder, own, faults)
        if "profile" not in table:
            continue
        rest = {key: value for key, value in table.items() if key != "profile"}
        devices[name] = rest
        profile = _found(table["profile"], ("devices", name, "profile"), folder, own, faults)
        if profile is not None:
            devices[name] = profiles.merged(profile.device, rest)
            taken[name] = (profile.name, rest.keys())
    return raw, taken


def _put_units(table: dict[str, Any], at: KeyPath, folder: Path, own: str, faults: Faults) -> None:
    """Add the profiles of units behind a connection; the connection is the user's."""
    units = table.get("units")
    if not isinstance(units, dict):
        return
    for name, unit in units.items():
        if not isinstance(unit, dict) or "profile" not in unit:
            continue
        here = (*at, "units", name, "profile")
        profile = _found(unit.pop("profile"), here, folder, own, faults)
        if profile is None:
            continue
        if profile.device.get("reader") != table.get("reader"):
            wanted = profile.device.get("reader")
            faults.add(here, f"{profile.name} is for the reader {wanted}")
            continue
        known = {key: value for key, value in profile.device.items() if key in UNIT_KEYS}
        units[name] = profiles.merged(known, unit)
        channels = table.setdefault("channels", {})
        for field, rules in profile.device.get("channels", {}).items():
            if isinstance(channels, dict):
                channels.setdefault(f"{name}/{field}", rules)


def _found(
    wanted: object, at: KeyPath, folder: Path, own: str, faults: Faults
) -> profiles.Profile | None:
    if not isinstance(wanted, str):
        faults.add(at, "expected the name of a profile, or a path")
        return None
    try:
        path = folder / wanted if wanted.endswith(".toml") else wanted
        return profiles.find(str(path), folder / own if own else None)
    except profiles.ProfileError as exc:
        faults.add(at, str(exc))
        return None


def _origin(at: KeyPath, taken: Mapping[str, tuple[str, Collection[str]]]) -> str:
    """Return which profile a key is from, if it is not in the configuration itself."""
    if len(at) <= 2 or at[0] != "devices" or str(at[1]) not in taken:  # noqa: PLR2004  # devices, name, key
        return ""
    profile, own = taken[str(at[1])]
    return "" if str(at[2]) in own else f" (from the profile {profile})"


def _is_no_folder(path: str) -> bool:
    return bool(path) and os.path.lexists(path) and not os.path.isdir(path)  # noqa: PTH112  # that of Path raises


def _dotted(path: KeyPath) -> str:
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            text += f".{key}" if plain else f'."{key}"'
    return text.removeprefix(".")
