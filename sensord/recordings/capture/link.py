"""Writes what a reader passes on into a capture, in place of a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sensord.decode.base import Sample
from sensord.device.intake import DEVICE, Route
from sensord.errors import SensordError
from sensord.model.clocks import Clock
from sensord.model.readings import Metadata, Value
from sensord.recordings.capture.arrivals import Arrival, Event, Message, Piece, Values, What
from sensord.recordings.capture.output import CaptureOutput

__all__ = ["Capturing"]


class Capturing:
    """A reader's link and its supervisor's watch.

    What the disk refuses ends it: ``on_change`` is called then, and after everything that arrived.
    """

    def __init__(self, output: CaptureOutput, clock: Clock, on_change: Callable[[], None]) -> None:
        self.bytes = 0
        """Bytes of the device."""
        self.runs = 0
        """How often the device was there."""
        self.state = "connecting"
        """How the device fares, in words."""
        self.failure: SensordError | None = None
        self._output = output
        self._clock = clock
        self._on_change = on_change
        self._ahead_us = clock.wall_us() - clock.monotonic_us()

    @property
    def count(self) -> int:
        """What came so far, events of the connection too."""
        return self._output.count

    def end(self) -> None:
        """Note when it ended: silence until then is a part of it."""
        self._add(Event("end"))
        self.flush()

    # -- the reader's link -------------------------------------------------------------------------

    def opened(self, detail: str) -> None:
        """Do nothing: the watch is notified."""

    def data(self, data: bytes) -> None:
        """Record the next bytes of the stream."""
        self.bytes += len(data)
        self._add(Piece(data))

    def message(self, route: Route, payload: bytes) -> None:
        """Record one whole message."""
        self.bytes += len(payload)
        self._add(Message(route, payload))

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        """Record values that need no decoding."""
        self._add(Values(tuple(samples), route))

    def availability(self, name: str, *, is_there: bool) -> None:
        """Note whether a device on the connection is there."""
        self._add(Event("online" if is_there else "offline", name))

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        """Do nothing: a capture keeps what was sent."""

    def received(self, data: bytes, source: str = "") -> None:
        """Do nothing: what is decoded comes as data or messages."""

    def sent(self, data: bytes, source: str = "") -> None:
        """Do nothing: the same."""

    def when_kept(self, act: Callable[[], None]) -> None:
        """Call ``act``: a capture is a client of its own and removes nothing from the daemon."""
        act()

    def position(self) -> Value:
        """Return None: nothing is known."""
        return None

    def reached(self, position: Value) -> None:
        """Do nothing: nothing is recorded."""

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        """Note something wrong that does not end the connection."""
        del device  # the detail names it
        self._add(Event("fault", reason, detail))

    # -- the supervisor's watch --------------------------------------------------------------------

    def connecting(self) -> None:
        """Note that the reader is started."""

    def up(self, detail: str) -> None:
        """Note that the device is there."""
        self.runs += 1
        self.state = f"up: {detail}"
        self._add(Event("up", "", detail))

    def down(self, reason: str, detail: str, retry_in_s: float) -> None:
        """Note that it is not."""
        del retry_in_s
        self.state = f"down: {reason}: {detail}"
        self._add(Event("down", reason, detail))

    def flush(self) -> None:
        """Write what is gathered."""
        self._write(self._output.flush)

    def _add(self, what: What) -> None:
        at_us = self._clock.monotonic_us() + self._ahead_us
        arrival = Arrival(at_us, self._clock.wall_us(), what)
        self._write(lambda: self._output.add(arrival))
        self._on_change()

    def _write(self, act: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            act()
        except OSError as error:
            # The reader must not mistake it for a fault of its device.
            self._output.drop()
            self.failure = SensordError(f"cannot write: {error.strerror or error}")
        except SensordError as error:
            self.failure = error
