"""A lens on a device's connection: shows what it carries while it runs.

Theory of operation. A reader gets its link through the lens. While the lens is unused, the methods
of that link are the device's own, and the intake has no listener, so it costs nothing. The first
eye replaces the methods by those that show what passes and then call the device's; the last one
that closes restores them. The connection itself is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from sensord.bus import Bus
from sensord.device.backoff import REMOTE, Limits
from sensord.device.reader import Link, Reader, Route
from sensord.model.readings import Quality, Value
from sensord.model.sights import MOST_SHOWN, Sight, What

__all__ = ["Eye", "Lens", "Lenses", "ReaderSeen"]


class Eye(Protocol):
    """One client's view through a lens."""

    def see(self, sight: Sight) -> None:
        """Accept what was seen; may not wait, and may not raise."""
        ...

    def moved(self, lens: Lens) -> None:
        """Switch to another lens: a reload replaced the device."""
        ...

    def ended(self) -> None:
        """End: the device was removed."""
        ...


class Lens:
    """Shows what one connection carries."""

    def __init__(
        self,
        name: str,
        bus: Bus,
        on_change: Callable[[], None],
        behind: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """``on_change`` is called when the first eye has opened or the last one closed.

        ``behind`` returns the devices behind the connection.
        """
        self.name = name
        self.behind = behind
        self._bus = bus
        self._on_change = on_change
        self._eyes: list[Eye] = []
        self._link: _SeenLink | None = None

    @property
    def is_used(self) -> bool:
        """Whether any eye is open."""
        return bool(self._eyes)

    @property
    def eyes(self) -> tuple[Eye, ...]:
        """Return those who look."""
        return tuple(self._eyes)

    def open(self, eye: Eye) -> None:
        """Show an eye everything from now on."""
        self._eyes.append(eye)
        if len(self._eyes) == 1:
            self._changed()

    def close(self, eye: Eye) -> None:
        """Show it no more."""
        self._eyes.remove(eye)
        if not self._eyes:
            self._changed()

    def over(self, link: Link) -> Link:
        """Return a link that can be looked at, in the place of ``link``."""
        self._link = _SeenLink(link, self)
        if self._eyes:
            self._link.show()
        return self._link

    def _changed(self) -> None:
        if self._link is not None:
            if self._eyes:
                self._link.show()
            else:
                self._link.hide()
        self._on_change()

    # -- what is seen ------------------------------------------------------------------------------

    def received(self, data: bytes, source: str = "") -> None:
        """Show bytes as they came."""
        self._show_bytes(What.RECEIVED, data, source)

    def sent(self, data: bytes, source: str = "") -> None:
        """Show bytes that were sent."""
        self._show_bytes(What.SENT, data, source)

    def message(self, route: Route, payload: bytes) -> None:
        """Show a whole message."""
        self._show_bytes(What.MESSAGE, payload, route.source, is_retained=route.is_retained)

    def fault(self, reason: str, detail: str) -> None:
        """Show a fault."""
        self._show(Sight(self._bus.now_us(), What.FAULT, reason=reason, detail=detail))

    def up(self, detail: str) -> None:
        """Show that the connection is there."""
        self._show(Sight(self._bus.now_us(), What.UP, detail=detail))

    def down(self, detail: str) -> None:
        """Show that it is not."""
        self._show(Sight(self._bus.now_us(), What.DOWN, detail=detail))

    # -- the intake's listener ---------------------------------------------------------------------

    def on_message(self, _message: bytes) -> bool:
        """Do nothing: bytes are shown as they come, not as they are cut."""
        return False

    def on_value(self, topic: str, value: Value, quality: Quality) -> None:
        """Show a decoded value."""
        channel = self._bus.find(topic)
        unit = "" if channel is None else channel.metadata.unit
        self._show(
            Sight(
                self._bus.now_us(),
                What.VALUE,
                topic=topic,
                unit=unit,
                value=value,
                quality=quality,
            )
        )

    def recalled(self, topic: str, value: Value, quality: Quality) -> None:
        """Show a value that a broker kept."""
        self.on_value(topic, value, quality)

    def _show_bytes(
        self, what: What, data: bytes, source: str, *, is_retained: bool = False
    ) -> None:
        self._show(
            Sight(
                self._bus.now_us(),
                what,
                data=data[:MOST_SHOWN],
                length=len(data),
                source=source,
                is_retained=is_retained,
            )
        )

    def _show(self, sight: Sight) -> None:
        for eye in tuple(self._eyes):
            eye.see(sight)


class _SeenLink:
    """A link whose methods are those of another one, until an eye opens."""

    __slots__ = (
        "_lens",
        "_link",
        "availability",
        "data",
        "describe",
        "fault",
        "message",
        "opened",
        "position",
        "reached",
        "received",
        "samples",
        "sent",
        "when_kept",
    )

    data: Callable[[bytes], None]
    message: Callable[[Route, bytes], None]
    received: Callable[..., None]
    sent: Callable[..., None]

    def __init__(self, link: Link, lens: Lens) -> None:
        self._link = link
        self._lens = lens
        self.opened = link.opened
        self.samples = link.samples
        self.availability = link.availability
        self.describe = link.describe
        self.when_kept = link.when_kept
        self.position = link.position
        self.reached = link.reached
        self.fault = link.fault
        self.hide()

    def show(self) -> None:
        """Show what passes."""
        self.data = self._shown_data
        self.message = self._shown_message
        self.received = self._lens.received
        self.sent = self._lens.sent

    def hide(self) -> None:
        """Show nothing."""
        self.data = self._link.data
        self.message = self._link.message
        self.received = self._link.received
        self.sent = self._link.sent

    def _shown_data(self, data: bytes) -> None:
        self._lens.received(data)
        self._link.data(data)

    def _shown_message(self, route: Route, payload: bytes) -> None:
        self._lens.message(route, payload)
        self._link.message(route, payload)


class ReaderSeen:
    """A reader whose link is looked at through a lens."""

    def __init__(self, reader: Reader, lens: Lens) -> None:
        self._reader = reader
        self._lens = lens

    @property
    def limits(self) -> Limits:
        """Those of the reader."""
        limits = getattr(self._reader, "limits", REMOTE)
        assert isinstance(limits, Limits)
        return limits

    async def run(self, link: Link) -> None:
        """Run the reader.

        Raises:
            DeviceError: As the reader does.
        """
        await self._reader.run(self._lens.over(link))


class Lenses:
    """The lenses of a daemon, by the names of connections and of the devices behind them."""

    def __init__(self) -> None:
        self._lenses: dict[str, Lens] = {}
        self._removed: dict[str, Lens] = {}
        """Lenses that were in use when they were removed."""

    def __iter__(self) -> Iterator[Lens]:
        return iter(self._lenses.values())

    def add(self, lens: Lens) -> None:
        """Add one; who looked through one of its name looks through it from now on."""
        before = self._lenses.get(lens.name) or self._removed.pop(lens.name, None)
        self._lenses[lens.name] = lens
        if before is None:
            return
        for eye in before.eyes:
            before.close(eye)
            lens.open(eye)
            eye.moved(lens)

    def remove(self, lens: Lens) -> None:
        """Remove one; who looks through it waits for the next of its name, or for `settle`."""
        if self._lenses.get(lens.name) is lens:
            del self._lenses[lens.name]
            if lens.is_used:
                self._removed[lens.name] = lens

    def settle(self) -> None:
        """End the looks through lenses that were removed and not replaced."""
        removed, self._removed = self._removed, {}
        for lens in removed.values():
            for eye in lens.eyes:
                eye.ended()

    def find(self, name: str) -> Lens | None:
        """Return the lens on a device's connection, or None."""
        if name in self._lenses:
            return self._lenses[name]
        return next((one for one in self if name in one.behind()), None)
