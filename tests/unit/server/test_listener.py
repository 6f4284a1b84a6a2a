"""What cannot be listened on is said with what helps."""

from __future__ import annotations

import errno
import socket

import pytest

from sensord.server.listener import listen_advice


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRINUSE, "address already in use"), "another sensord"),
        (OSError(errno.EACCES, "permission denied"), "below 1024"),
        (OSError(errno.EADDRNOTAVAIL, "cannot assign"), "no interface"),
        (socket.gaierror(socket.EAI_NONAME, "not known"), "name is not known"),
        (OSError("something else"), "[server]"),
    ],
)
def test_each_reason_has_its_own_advice(error: OSError, words: str) -> None:
    """Permission denied on port 80 is not another sensord."""
    assert words in listen_advice(error)
    assert ("another sensord" in listen_advice(error)) is (error.errno == errno.EADDRINUSE)
