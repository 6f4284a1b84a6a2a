"""An address that is missing is named with its reason; one in use ends the start."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from sensord.bus import Bus
from sensord.errors import StartError
from sensord.log import Log
from sensord.server.addresses import Addresses, AddressStatus, Missing
from tests.kit.loops import on_each_loop
from tests.unit.manual import ManualClock

NOWHERE = "192.0.2.1:0"
"""A documentation address: no machine has it."""

OUTBOX = 128 * 1024


@pytest.mark.parametrize(
    ("error", "name", "words"),
    [
        (OSError(errno.EADDRINUSE, "address already in use"), "EADDRINUSE", "another sensord"),
        (OSError(errno.EACCES, "permission denied"), "EACCES", "below 1024"),
        (OSError(errno.EADDRNOTAVAIL, "cannot assign"), "EADDRNOTAVAIL", "no interface"),
        (socket.gaierror(socket.EAI_NONAME, "not known"), "EAI_NONAME", "name is not known"),
        (TimeoutError(), "ETIMEDOUT", "name is not known"),
        (OSError(errno.EINVAL, "invalid argument"), "EINVAL", "link-local"),
        (OSError(errno.EMFILE, "too many open files"), "EMFILE", "too many open files"),
    ],
)
def test_each_error_has_its_own_reason(error: OSError, name: str, words: str) -> None:
    """Permission denied on port 80 is not another sensord, nor is an address that is missing."""
    missing = Missing.of("127.0.0.1:80", error)
    assert missing.error == name
    assert words in missing.reason
    assert ("another sensord" in missing.reason) is missing.is_in_use
    assert missing.is_in_use is (error.errno == errno.EADDRINUSE)


@on_each_loop
async def test_what_exists_is_bound_and_the_rest_is_missing() -> None:
    """Nothing is bound twice at the next attempt."""
    addresses = Addresses(["127.0.0.1:0", NOWHERE, "127.0.0.1:0"], OUTBOX)
    await addresses.reserve()
    bound = addresses.listening
    assert len(set(bound)) == 2
    assert [(one.address, one.error) for one in addresses.missing] == [(NOWHERE, "EADDRNOTAVAIL")]
    await addresses.bind()
    assert addresses.listening == bound
    assert len(addresses.missing) == 1
    addresses.close()


@on_each_loop
async def test_an_address_in_use_ends_the_start_and_leaves_nothing_bound() -> None:
    """Also where another program has bound it with SO_REUSEADDR and listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        addresses = Addresses(["127.0.0.1:0", taken], OUTBOX)
        with pytest.raises(StartError, match=f"cannot listen on {taken}: another program"):
            await addresses.reserve()
    (bound, *_) = addresses.listening
    host, port = bound.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@on_each_loop
async def test_two_that_start_at_once_do_not_share_a_port() -> None:
    """The first has it as soon as it is reserved, before it accepts a connection."""
    first = Addresses(["127.0.0.1:0"], OUTBOX)
    await first.reserve()
    second = Addresses(first.listening, OUTBOX)
    with pytest.raises(StartError, match="another program has the port"):
        await second.reserve()
    first.close()


@on_each_loop
async def test_a_port_taken_later_does_not_end_the_daemon() -> None:
    """It is named as in use, and bound when the other program has gone."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        addresses = Addresses([f"127.0.0.1:{other.getsockname()[1]}"], OUTBOX)
        await addresses.bind()
        assert [one.error for one in addresses.missing] == ["EADDRINUSE"]
    await addresses.bind()
    assert addresses.missing == ()
    addresses.close()


@on_each_loop
async def test_a_command_at_a_terminal_needs_each_address() -> None:
    """A demo that nobody can reach shows nothing."""
    with pytest.raises(StartError, match="no interface of this machine"):
        await Addresses([NOWHERE], OUTBOX).reserve(is_each_needed=True)


@on_each_loop
async def test_a_name_that_comes_later_is_asked_for_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing address is tried at each attempt, a name only twice a minute."""
    asked = []
    loop = asyncio.get_running_loop()

    async def answer(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")

    monkeypatch.setattr("sensord.server.addresses._ask", answer)
    addresses = Addresses(["gateway.example:8765"], OUTBOX)
    before_s = loop.time()
    for _ in range(3):
        await addresses.bind()
    assert loop.time() - before_s < 30
    assert asked == ["gateway.example"]
    assert [(one.address, one.error) for one in addresses.missing] == [
        ("gateway.example:8765", "EAI_AGAIN")
    ]


def test_only_changes_are_reported() -> None:
    """A machine with all its addresses has no topic for it; the same reason is logged once."""
    bus = Bus(Log("e1", 4096), ManualClock())
    status = AddressStatus(bus)
    absent = Missing("[::1]:8765", "EADDRNOTAVAIL", "no interface of this machine has that address")
    taken = Missing("[::1]:8765", "EADDRINUSE", "another program has the port")
    status.report(["127.0.0.1:8765"], ())
    assert bus.log.tail == 0
    for missing in ((absent,), (absent,), (taken,), (), ()):
        status.report(["127.0.0.1:8765"], missing)
    told: list[Any] = [
        record.reading.value for piece in bus.log.read(0, bus.log.tail) for record in piece
    ]
    assert [value["state"] for value in told] == ["incomplete", "incomplete", "ok"]
    assert [[one["error"] for one in value["missing"]] for value in told] == [
        ["EADDRNOTAVAIL"],
        ["EADDRINUSE"],
        [],
    ]


@on_each_loop
async def test_a_passed_socket_is_used_for_its_address() -> None:
    """It is not bound again, and holds as little for each connection as our own."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        name, port = held.getsockname()
        addresses = Addresses([f"{name}:{port}", "127.0.0.1:0"], OUTBOX, passed=[held.dup()])
        await addresses.reserve()
        assert addresses.listening[0] == f"{name}:{port}"
        assert not addresses.missing
        assert held.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= OUTBOX
        addresses.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@on_each_loop
async def test_a_passed_socket_for_both_families_is_refused() -> None:
    """The configuration lists IPv6 alone; IPv4 would not have been checked."""
    held = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    addresses = Addresses([f"[::]:{held.getsockname()[1]}"], OUTBOX, passed=[held])
    await addresses.reserve()
    assert [one.reason for one in addresses.missing] == [
        "its socket unit needs BindIPv6Only=ipv6-only"
    ]
    addresses.close()


@on_each_loop
async def test_a_passed_socket_waits_for_a_name_that_is_not_known_yet() -> None:
    """A gateway whose name server is unreachable at the boot starts all the same."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        addresses = Addresses(["nowhere.invalid:8765"], OUTBOX, passed=[held.dup()])
        await addresses.reserve()
        assert len(addresses.missing) == 1
        addresses.close()
