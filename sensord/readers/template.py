"""A template for a reader, and a working one: lines of text that arrive as UDP datagrams.

To add a reader, copy this file and follow the steps marked below. The rules are few:

* `Config` is a frozen dataclass. Its annotations are the schema (see `sensord.config.schema`);
  its options stand flat in the device's table, beside ``topic``, ``decoder``, ``publish`` and the
  other common keys, whose names it may not use. One that passes on samples and no bytes has
  ``needs_decoder: ClassVar[bool] = False``.
* `Reader` is built from its config alone and opens nothing until it runs.
* `run` connects, calls ``link.opened`` once, passes on what arrives, and *raises* `DeviceError` if
  the connection fails. It never retries and never sleeps before connecting: the supervisor does.
* Whatever `run` opened is closed when it ends, however it ends: use ``try`` and ``finally``.
* What blocks goes through `sensord.readers.blocking.in_thread`.
* If its devices take commands, the module has a `Write` and the reader has `write`; leave both out
  otherwise. Queue, deadline and confirmation are not the reader's: it sends one command.

After that:

1. Name the module in ``_MODULES`` in `sensord/readers/registry.py`; or, from another package,
   publish it under the entry point group ``sensord.readers``.
2. Write `tests/integration/readers/test_<name>.py`: real bytes, on both event loops, with
   `tests/kit`; a bench for `sensord.readers.contract` in `test_contract.py` beside it, or in your
   own tests if it is a package of your own; `tests/unit/readers/test_<name>.py` for what is pure.
3. Add a section to `docs/readers.md`: what it reads, its options, an example.
4. Put a capture of a real device under `tests/recordings/<device>/`: `sensord capture` makes one.
"""

from __future__ import annotations

# Step 1: import the few things that a reader sees of the daemon.
import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from sensord.config.placeholders import fill
from sensord.config.schema import Within
from sensord.device.backoff import LOCAL, Limits
from sensord.device.reader import Link, Order, Route
from sensord.errors import DeviceError
from sensord.model.readings import Value
from sensord.readers.blocking import Ending

__all__ = ["Config", "Reader", "Write"]


# Step 2: declare what an operator may configure. Add an option only where the reader cannot find
# out by itself. Ranges go into the annotation; `faults` yields the rest, and does no I/O.
@dataclass(frozen=True, slots=True)
class Config:
    """Options of this reader."""

    port: Annotated[int, Within(1, 65_535)]
    host: str = "127.0.0.1"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield ``(key, message)`` for what one field cannot know."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            yield "host", 'expected an address; "0.0.0.0" listens on every interface'


# Step 3, only if its devices accept commands: define how one is sent. Its options stand flat in the
# tables ``writable`` and ``actions``, beside the common ones. A text may have places for values,
# such as {value:.1f}; `texts` names those texts, so that they are checked with the configuration.
@dataclass(frozen=True, slots=True)
class Write:
    """How one command is sent: a datagram to ``send_to``."""

    payload: str
    send_to: str = "127.0.0.1:5005"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield an invalid address."""
        host, _, port = self.send_to.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port):
            yield "send_to", 'expected "address:port"'

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the text with places."""
        yield "payload", self.payload

    def message(self, values: Mapping[str, Value]) -> bytes:
        """Return what to send; raises ValueError for what this device cannot be sent."""
        return fill(self.payload, values).encode()


AT_ONCE = 64
"""Datagrams read in one turn of the loop, so that a flood leaves time for others."""

LARGEST_BYTES = 65_536


# Step 4: connect, hand on, raise.
class Reader:
    """Receives datagrams on one UDP port, each of them one message."""

    # How patient the supervisor shall be: LOCAL looks again after at most 5 s, REMOTE after 30.
    limits: Limits = LOCAL

    def __init__(self, config: Config) -> None:
        self._config = config
        self._endpoint: socket.socket | None = None

    async def run(self, link: Link) -> None:
        """Listen and hand on datagrams until the socket fails.

        Raises:
            DeviceError: The port could not be opened, or the socket failed.
        """
        where = f"{self._config.host}:{self._config.port}"
        # `Ending` carries a fault from a callback to this coroutine, which raises it.
        ending = Ending()
        # A message has a route: where it came from. Here all come from one place. A reader of many
        # sources keeps a bounded table of routes; see `mqtt_routes.py`.
        route = Route(where)
        endpoint = _bound(self._config.host, self._config.port)
        self._endpoint = endpoint
        loop = asyncio.get_running_loop()
        try:
            # No await lies between opening and this block: a run may be cancelled at any of them.
            loop.add_reader(endpoint, _received, endpoint, link, route, ending)
            link.opened(f"udp {where}")
            await ending.reached()
        finally:
            self._endpoint = None
            loop.remove_reader(endpoint)
            endpoint.close()

    async def write(self, order: Order) -> None:
        """Send one command; called one at a time, while `run` runs.

        Raises:
            DeviceError: There is no connection, or it broke.
        """
        if self._endpoint is None:
            raise DeviceError("not connected")
        how: Write = order.how
        host, _, port = how.send_to.rpartition(":")
        # Just before the first byte leaves: from here on the device may have acted. It raises if
        # it is too late.
        order.sending()
        self._endpoint.sendto(order.message, (host, int(port)))
        # On a line where something else would disturb the answer, keep it until
        # ``await order.answered()``; see `serial.py`. If the way itself refuses the command, say
        # so with ``order.refused(why)``; see `mqtt.py`.


def _bound(host: str, port: int) -> socket.socket:
    """Open the socket. This never blocks; what may block goes through `in_thread`."""
    endpoint = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        endpoint.bind((host, port))
    except OSError as error:
        endpoint.close()
        # Translate at the boundary: a short constant reason, which is counted, and a detail that
        # names the remedy.
        hint = "another program may have this port; ss -ulnp names it"
        detail = f"{host}:{port}: {error.strerror}; {hint}"
        raise DeviceError("cannot listen", detail) from error
    endpoint.settimeout(0)
    return endpoint


def _received(endpoint: socket.socket, link: Link, route: Route, ending: Ending) -> None:
    try:
        for _ in range(AT_ONCE):
            # One of: link.data(bytes) for a stream, which the framer cuts; link.message(route,
            # bytes) for whole messages; link.samples([...]) for values that need no decoding.
            # What is wrong but ends nothing goes to link.fault(reason, detail).
            link.message(route, endpoint.recv(LARGEST_BYTES))
    except BlockingIOError:
        return  # all have been read
    except OSError as error:
        ending.fail(DeviceError("socket failed", error.strerror or ""))
    except Exception as error:  # noqa: BLE001  # carried to run, which raises it
        ending.fail(error)
