"""Load a configuration file and report all that is wrong with it at once.

Reading the file is all the I/O there is: no device and no network is touched.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sensord.config.lines import Lines
from sensord.config.schema import Faults
from sensord.config.schema import Path as KeyPath
from sensord.config.tree import Config, Registry, build
from sensord.errors import ConfigError, ConfigFault

__all__ = ["load", "parse"]


def load(file: Path, readers: Registry, decoders: Registry) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: It cannot be read or has faults; all of them are told.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(
            [ConfigFault(str(file), 0, "", f"cannot be read: {exc.strerror}")]
        ) from exc
    except UnicodeDecodeError as exc:
        message = f"is not UTF-8 text: {exc.reason} at byte {exc.start}"
        raise ConfigError([ConfigFault(str(file), 0, "", message)]) from exc
    return parse(text, str(file), readers, decoders)


def parse(text: str, file: str, readers: Registry, decoders: Registry) -> Config:
    """Check the text of a configuration; ``file`` is what messages call it.

    Raises:
        ConfigError: It has faults; all of them are told.
    """
    try:
        raw = tomllib.loads(text)
    # Beside its own ValueError: an integer of thousands of digits, arrays nested without end.
    except (ValueError, RecursionError) as exc:
        found = re.search(r"\(at line (\d+), column \d+\)", str(exc))
        line = int(found[1]) if found else text.count("\n") + 1
        raise ConfigError([ConfigFault(file, line, "", f"is not TOML: {exc}")]) from exc
    faults = Faults()
    config = build(raw, faults, readers, decoders)
    if config is None:
        lines = Lines(text)
        told = {
            ConfigFault(file, lines.of(path), _dotted(path), message)
            for path, message in faults.found
        }
        raise ConfigError(sorted(told, key=lambda fault: (fault.line, fault.path)))
    return config


def _dotted(path: KeyPath) -> str:
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            text += f".{key}" if plain else f'."{key}"'
    return text.removeprefix(".")
