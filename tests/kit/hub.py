"""A hub of one's own: `sensord hub` on a free port, in a folder beside those of gateways."""

from __future__ import annotations

from pathlib import Path

from tests.kit.daemon import SENSORD, Daemon
from tests.kit.nats import JetStream

__all__ = ["Hub", "gateway_config"]


class Hub(Daemon):
    """`sensord hub`."""

    def __init__(self, folder: Path, server: JetStream, more: str = "", *, hub: str = "") -> None:
        """``more`` is the rest of the configuration, ``hub`` of its table."""
        folder.mkdir(parents=True, exist_ok=True)
        self._own = f'[hub]\nservers = ["{server.url}"]\n{hub}\n'
        super().__init__(folder, more, command=(*SENSORD, "hub"))

    def rewrite(self, config: str) -> None:
        """Write its configuration."""
        self._config = config
        self._file.write_text(f"server.listen = [{self._addresses}]\n{config}\n{self._own}")

    def of(self, gateway: str) -> str:
        """Return the address of a gateway at the hub."""
        return f"{self.url}/{gateway}"


def gateway_config(folder: Path, name: str, server: JetStream, *, interval: str = "20ms") -> str:
    """Return the configuration of a gateway that delivers to JetStream."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"""
[journal]
folder = "{folder / "journal"}"
commit_interval = "100ms"
[devices.sim]
reader = "simulated"
interval = "{interval}"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
signals = {{ level = {{ shape = "ramp", low = 0, high = 1000, period = "100s" }} }}
channels.level = {{ unit = "Cel", decimals = 3 }}
[uplinks.hub]
type = "nats"
servers = ["{server.url}"]
stream = "sensord_{name}"
subject = "sensord.{name}.{{topic}}"
topics = ["plant/#", "$sys/devices/#"]
interval = "50ms"
start = "oldest"
"""
