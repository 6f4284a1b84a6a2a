"""The Unix socket: whose the other end is, and what stands at its path."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensord.errors import StartError
from sensord.server.local_socket import bound, is_owner, unlinked

NOBODY = 65_534


@contextmanager
def connected_as(user: int, groups: list[int]) -> Iterator[socket.socket]:
    """Yield our end of a connection from a process of another user."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = f"{folder}/s"
        with bound(path) as listener:
            listener.settimeout(60)
            ours, theirs = os.pipe()
            child = os.fork()
            if not child:
                os.close(theirs)
                with contextlib.suppress(BaseException):
                    os.setgroups(groups)
                    os.setgid(user)
                    os.setuid(user)
                    with socket.socket(socket.AF_UNIX) as peer:
                        peer.connect(path)
                        os.read(ours, 1)
                os._exit(0)
            os.close(ours)
            try:
                accepted, _ = listener.accept()
                with accepted:
                    yield accepted
            finally:
                os.close(theirs)
                os.waitpid(child, 0)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@needs_root
def test_another_user_is_no_owner_unless_in_the_group() -> None:
    """The supplementary groups count, and a group that does not exist lets nobody in."""
    group = grp.getgrall()[-1]
    with connected_as(NOBODY, []) as peer:
        assert not is_owner(peer.fileno(), "")
        assert not is_owner(peer.fileno(), group.gr_name)
    with connected_as(NOBODY, [group.gr_gid]) as peer:
        assert is_owner(peer.fileno(), group.gr_name)
        assert not is_owner(peer.fileno(), "no-such-group")


def test_our_own_user_is_an_owner(tmp_path: Path) -> None:
    """Whoever could read the daemon's memory anyway."""
    path = str(tmp_path / "s")
    with bound(path) as listener, socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        listener.settimeout(60)
        accepted, _ = listener.accept()
        with accepted:
            assert is_owner(accepted.fileno(), "")


def test_only_a_socket_that_nobody_serves_is_replaced(tmp_path: Path) -> None:
    """Neither a file nor that of another daemon."""
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartError, match="it is a file"):
        bound(str(path))
    assert path.read_text() == "precious"
    path.unlink()
    with bound(str(path)), pytest.raises(StartError, match="another sensord"):
        bound(str(path))
    with bound(str(path)):
        assert path.stat().st_mode & 0o777 == 0o666
    unlinked(str(path))
    assert not path.exists()
