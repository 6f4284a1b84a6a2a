"""The interface of every reader, and its view of the daemon.

A reader connects, passes on what arrives and *raises* when the connection fails. It never retries,
never swallows a fault and never sleeps before connecting: the supervisor does all that, for every
reader alike.

A reader whose devices accept commands is a `Writer` too. Its module has a ``Write``, the options of
how one command is sent, and it has ``write``, which sends one over the connection that `run` holds.
It does not decide what confirms a command.

Adding a reader: copy `template.py`, which names each step. Its ``Config`` may say
``needs_decoder: ClassVar[bool] = False`` if it hands on samples and no bytes, and have
``command_faults(commands, pattern)``, which yields ``(path, message)`` for commands that cannot be
confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from sensord.decode.base import Sample
from sensord.device.commands import Order, Writer
from sensord.device.intake import DEVICE, Route
from sensord.model.readings import Metadata, Value

__all__ = ["DEVICE", "Link", "Order", "Reader", "Route", "Writer"]


class Link(Protocol):
    """A reader's way into the daemon. None of these waits, and none raises."""

    def opened(self, detail: str) -> None:
        """Report that the device is up, and how it was reached (``/dev/ttyUSB0 at 9600``).

        Call it once a run, before anything is passed on. Earlier input is not continued: an
        incomplete message is dropped.
        """
        ...

    def data(self, data: bytes) -> None:
        """Hand on the next bytes of a stream, cut anyhow."""
        ...

    def message(self, route: Route, payload: bytes) -> None:
        """Hand on one whole message and where it came from."""
        ...

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        """Hand on values that need no decoding, and where they came from."""
        ...

    def availability(self, name: str, *, is_there: bool) -> None:
        """Report whether a device on this connection is there.

        ``name`` is what the routes of its sources have in ``depends_on``.
        """
        ...

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        """Report the metadata of a field of samples, before its first value is passed on.

        ``device`` is that of its route; it is away until its `availability` is reported, under
        its name.
        What the configuration says of the channel comes before it.
        """
        ...

    def received(self, data: bytes, source: str = "") -> None:
        """Show bytes that came and are not passed on by `data` or `message` in the lens.

        Nothing is decoded or counted by it.
        """
        ...

    def sent(self, data: bytes, source: str = "") -> None:
        """Show bytes that were sent in the lens; ``source`` is their target, such as a topic."""
        ...

    def when_kept(self, act: Callable[[], None]) -> None:
        """Call ``act`` once the readings of everything passed on are safe from a crash.

        That is when they are in the journal; at once, if there is none or it fails.
        """
        ...

    def position(self) -> Value:
        """Return what `reached` recorded last, also before a restart; None if nothing is known."""
        ...

    def reached(self, position: Value) -> None:
        """Record how far a source was read, in the log behind what was passed on so far.

        Both become safe from a crash together, so a source that can be read from a position is read
        once.
        """
        ...

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        """Count and report something wrong that does not end the connection.

        ``reason`` is one of a few constant texts, such as ``no answer``; ``device`` names the
        device behind the connection that it is of.
        """
        ...


class Reader(Protocol):
    """One device's connection; built from its config alone, opens nothing until it runs."""

    async def run(self, link: Link) -> None:
        """Connect and pass on what arrives, for as long as the connection holds.

        Raises:
            DeviceError: The connection could not be made or was lost. Returning means the same:
                the source has ended.
        """
        ...
