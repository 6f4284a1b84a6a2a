"""Profiles: what a make of device sends, in one short file. Those shipped and the user's are alike.

A profile is a TOML file: ``[profile]`` describes it, ``[device]`` has the keys of a device's table,
and each of ``[[samples]]`` has bytes of a real device and the readings expected of them. Pure, but
for reading the file.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensord.errors import SensordError
from sensord.host.files import read_text

__all__ = ["Profile", "ProfileError", "Sample", "find", "merged", "names", "read"]

SHIPPED = Path(__file__).parent
SUFFIX = ".toml"


class ProfileError(SensordError):
    """A profile cannot be found or read; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a device sent, and what must come out.

    ``data`` is a piece of a serial stream, ``messages`` are topics and payloads of a broker, and
    ``files`` paths with their contents.
    ``expect`` has values, or tables with value, unit, quality and reason, by topic; the device is
    called ``sample``, which may be left out. ``faults`` counts the faults expected, by reason.
    """

    title: str
    source: str
    data: bytes = b""
    messages: tuple[tuple[str, bytes], ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as its file has it."""

    name: str
    title: str
    models: tuple[str, ...]
    notes: str
    source: str
    device: Mapping[str, Any]
    samples: tuple[Sample, ...]


def names(folder: Path | None = None) -> list[str]:
    """Return the names of the profiles shipped, and of those in a folder."""
    folders = [SHIPPED, *([folder] if folder is not None and folder.is_dir() else [])]
    return sorted({file.stem for one in folders for file in one.glob(f"*{SUFFIX}")})


def find(name: str, folder: Path | None = None) -> Profile:
    """Return a profile by name, the folder's before one that is shipped, or by its file's path.

    Raises:
        ProfileError: There is none, or it cannot be read.
    """
    if name.endswith(SUFFIX):
        return read(Path(name))
    for one in (folder, SHIPPED):
        if one is not None and (file := one / f"{name}{SUFFIX}").is_file():
            return read(file)
    near = difflib.get_close_matches(name, names(folder), n=1)
    hint = f"did you mean {near[0]}?" if near else "sensord profiles lists those there are"
    raise ProfileError(f'there is no profile "{name}"; {hint}')


def read(file: Path) -> Profile:
    """Read a profile's file.

    Raises:
        ProfileError: It cannot be read, or is no profile.
    """
    try:
        raw = tomllib.loads(read_text(file))
    except OSError as exc:
        raise ProfileError(f"{file}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ProfileError(f"{file}: is not TOML: {exc}") from exc
    about, device, samples = raw.get("profile"), raw.get("device"), raw.get("samples", [])
    if not isinstance(about, dict) or not isinstance(about.get("title"), str):
        raise ProfileError(f"{file}: [profile] with a title is missing")
    if not isinstance(device, dict):
        raise ProfileError(f"{file}: [device] with the keys of a device is missing")
    if not isinstance(samples, list) or not all(isinstance(one, dict) for one in samples):
        raise ProfileError(f"{file}: samples are tables [[samples]]")
    if unknown := sorted(raw.keys() - {"profile", "device", "samples"}):
        raise ProfileError(f"{file}: unknown key {unknown[0]}; known are profile, device, samples")
    return Profile(
        file.stem,
        about["title"],
        tuple(map(str, about.get("models", ()))),
        str(about.get("notes", "")),
        str(about.get("source", "")),
        device,
        tuple(_sample(one, f"{file}: samples[{i}]") for i, one in enumerate(samples)),
    )


def _sample(raw: Mapping[str, Any], where: str) -> Sample:
    forms = [key for key in ("hex", "text", "messages", "files") if key in raw]
    if len(forms) != 1:
        raise ProfileError(f"{where}: give one of hex, text, messages and files")
    data, messages, files = b"", tuple[tuple[str, bytes], ...](), tuple[tuple[str, bytes], ...]()
    match raw:
        case {"hex": str(digits)}:
            try:
                data = bytes.fromhex(digits)
            except ValueError as exc:
                raise ProfileError(f"{where}: hex: {exc}") from exc
        case {"text": str(text)}:
            data = text.encode("latin-1")
        case {"messages": list(pairs)} if all(_is_message(one) for one in pairs):
            messages = tuple((topic, _payload(payload)) for topic, payload in pairs)
        case {"files": list(pairs)} if all(_is_pair(one) for one in pairs):
            files = tuple((path, content.encode()) for path, content in pairs)
        case _:
            raise ProfileError(f"{where}: messages are pairs of topic and payload, hex is a text")
    expect, faults = raw.get("expect", {}), raw.get("faults", {})
    if not isinstance(expect, dict) or not isinstance(faults, dict) or not (expect or faults):
        raise ProfileError(f"{where}: expect or faults is missing: what must come out")
    return Sample(
        str(raw.get("title", "")), str(raw.get("source", "")), data, messages, files, expect, faults
    )


def _is_message(one: object) -> bool:
    match one:
        case [str(), {"hex": str(digits)}]:
            return bool(digits) and not set(digits) - set("0123456789abcdefABCDEF ")
        case _:
            return _is_pair(one)


def _payload(payload: str | Mapping[str, str]) -> bytes:
    return payload.encode() if isinstance(payload, str) else bytes.fromhex(payload["hex"])


def _is_pair(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(x, str) for x in one)  # noqa: PLR2004  # a pair


def merged(profile: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a device's table: the profile's with the user's own keys over it, table by table."""
    result = dict(profile)
    for key, value in own.items():
        before = result.get(key)
        result[key] = value
        if isinstance(before, dict) and isinstance(value, dict) and _is_alike(before, value):
            result[key] = merged(before, value)
    return result


def _is_alike(profile: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    """Return whether two tables are of one kind: the keys of two decoders do not mix."""
    return bool(profile.get("type") == own.get("type", profile.get("type")))
