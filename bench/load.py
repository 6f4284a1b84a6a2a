"""The readings that every server under test gets: the same values in the same pattern.

They come from sensord's simulated reader: inside the daemon for sensord, in `bench.publisher` for
its peers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sensord.readers import simulated

__all__ = ["Load", "Pattern"]

Pattern = Literal["burst", "spread"]

DECIMALS = 2


SPREAD_DEVICES = 20


@dataclass(frozen=True, slots=True)
class Load:
    """``rate`` readings a second on ``topics`` topics.

    In a ``burst`` all topics have a reading at the same moment, as with one polled device: the
    friendliest pattern to any server. With ``spread`` they belong to 20 devices, whose intervals
    differ a little, so that readings come at any time.
    """

    rate: float
    topics: int = 200
    pattern: Pattern = "burst"

    def devices(self) -> dict[str, simulated.Config]:
        """Return the simulated devices by name."""
        signals = {"value": simulated.Signal(high=100.0, noise=0.5, decimals=DECIMALS)}
        interval = self.topics / self.rate
        if self.pattern == "burst":
            return {"load": simulated.Config(signals, interval, self.topics)}
        count = min(SPREAD_DEVICES, self.topics)
        middle = (count - 1) / 2 or 1.0
        return {
            f"load{i}": simulated.Config(
                signals, interval * (1 + (i - middle) / middle / 20), self.topics // count
            )
            for i in range(count)
        }

    def config(self) -> str:
        """Return the same as a part of a configuration file."""
        return "\n".join(_table(name, device) for name, device in self.devices().items())


def _table(name: str, device: simulated.Config) -> str:
    signal = device.signals["value"]
    return f"""
[devices.{name}]
reader = "simulated"
interval = {device.interval!r}
copies = {device.copies}
max_channels = {max(1000, device.copies)}
publish = {{ policy = "every" }}
[devices.{name}.signals.value]
low = {signal.low}
high = {signal.high}
noise = {signal.noise}
decimals = {signal.decimals}
[devices.{name}.channels."value*"]
decimals = {signal.decimals}
"""
