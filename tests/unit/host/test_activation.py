"""The sockets that the service manager passed are used, by the process that they are meant for."""

from __future__ import annotations

import os
import socket

import pytest

from sensord.host.activation import passed_sockets


def test_a_passed_socket_is_returned_and_not_inherited() -> None:
    """It is the same listening socket, and programs that the daemon starts do not get it."""
    with socket.create_server(("127.0.0.1", 0)) as ours:
        copy = os.dup(ours.fileno())
        os.set_inheritable(copy, True)  # as systemd leaves it
        (passed,) = passed_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}, first=copy)
        with passed:
            assert passed.getsockname() == ours.getsockname()
            assert not passed.get_inheritable()
            assert passed.getblocking() is False


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "one"},
        {"LISTEN_PID": "7"},
        {"LISTEN_PID": "8", "LISTEN_FDS": "1"},
    ],
)
def test_without_sockets_for_this_process_there_are_none(environment: dict[str, str]) -> None:
    """Variables that were meant for a parent are not believed."""
    assert passed_sockets(environment, pid=7) == []
