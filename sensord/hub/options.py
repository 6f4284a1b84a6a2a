"""The configuration of a hub."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from sensord.config.load import located
from sensord.config.schema import Faults, Printable, Within, structure
from sensord.config.tree import Logging, Server
from sensord.errors import ConfigError, ConfigFault
from sensord.host.files import read_text
from sensord.host.nats_servers import server_faults

__all__ = ["Hub", "HubConfig", "build", "is_hub", "load"]


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the streams are, and how much of each is held in memory."""

    servers: tuple[str, ...] = ()
    streams: Printable = "sensord_*"
    """The names of the gateways' streams; what the asterisk stands for is the gateway's name."""
    ring: Annotated[int, Within(1024, 10_000_000)] = 65_536
    user: Printable = ""
    password_file: Printable = ""
    token_file: Printable = ""
    creds_file: Printable = ""
    ca_file: Printable = ""
    cert_file: Printable = ""
    key_file: Printable = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield addresses, names and credentials that cannot be."""
        yield from server_faults(self)
        if not re.fullmatch(r"[^.*>/\\\s]*\*[^.*>/\\\s]*", self.streams):
            yield "streams", 'expected a name with one asterisk, such as "sensord_*"'

    def gateway_of(self, stream: str) -> str | None:
        """Return the gateway that a stream is of, or None."""
        before, _, after = self.streams.partition("*")
        if not stream.startswith(before) or not stream.endswith(after):
            return None
        return stream[len(before) : len(stream) - len(after)] or None


@dataclass(frozen=True, slots=True)
class _Root:
    hub: Hub = Hub()
    server: Server = Server()
    logging: Logging = Logging()


class HubConfig(NamedTuple):
    """The whole configuration of a hub."""

    hub: Hub
    server: Server
    logging: Logging
    warnings: tuple[ConfigFault, ...]
    """What is accepted but hardly meant."""


def load(file: Path) -> HubConfig:
    """Read and check the configuration of a hub.

    Raises:
        ConfigError: It cannot be read, or has faults: all are reported.
    """
    try:
        text = read_text(file, "utf-8-sig")
        raw: dict[str, Any] = tomllib.loads(text)
    except OSError as exc:
        fault = ConfigFault(str(file), 0, "", f"cannot be read: {exc.strerror}")
        raise ConfigError([fault]) from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError([ConfigFault(str(file), 0, "", f"is not TOML: {exc}")]) from exc
    faults = Faults()
    built = build(raw, faults)
    if built is None or faults.found:
        raise ConfigError(located(faults.found, text, str(file)))
    doubts = tuple(located(faults.doubts, text, str(file)))
    return built._replace(warnings=doubts)


def build(raw: Mapping[str, Any], faults: Faults) -> HubConfig | None:
    """Build the configuration; collect every fault in ``faults``, and then return None."""
    if "hub" not in raw:
        faults.add(("hub",), 'is missing; say for example hub.servers = ["nats://127.0.0.1:4222"]')
    built = structure(_Root, raw, (), faults)
    return None if built is None else HubConfig(built.hub, built.server, built.logging, ())


def is_hub(file: Path) -> bool:
    """Return whether a file is the configuration of a hub."""
    try:
        return "hub" in tomllib.loads(read_text(file, "utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
