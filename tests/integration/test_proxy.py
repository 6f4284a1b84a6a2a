"""Behind nginx, as docs/configuration.md configures it."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensord.client import Client, ClientError
from tests.integration.test_tokens import _run
from tests.kit.daemon import REPOSITORY, Daemon, in_thread, on_uvloop

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")

FRAME = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ {lines} }}
  }}
}}
"""

CONFIG = """
server.tokens = "{folder}/tokens.json"
server.hosts = ["gateway.example"]
[devices.tank]
reader = "simulated"
topic = "tank/{{field}}"
signals.level = {{ shape = "constant", low = 4 }}
"""


def documented(address: str) -> str:
    """Return the lines that the documentation gives for nginx."""
    text = (REPOSITORY / "docs/configuration.md").read_text()
    [paragraph] = [one for one in text.splitlines() if "`proxy_pass " in one]
    lines = re.findall(r"`(proxy_[^`]*;)`", paragraph)
    assert len(lines) == 5
    return " ".join(lines).replace("127.0.0.1:8765", address)


@contextmanager
def nginx(folder: Path, address: str) -> Iterator[int]:
    """Run it in front of an address; yield its port."""
    if NGINX is None:
        pytest.skip("nginx is missing")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    file = folder / "nginx.conf"
    file.write_text(FRAME.format(folder=folder, port=port, lines=documented(address)))
    with subprocess.Popen([NGINX, "-c", str(file), "-p", str(folder)]) as process:
        try:
            while process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            yield port
        finally:
            process.terminate()


@on_uvloop()
async def test_nginx_in_front_passes_monitors_on_and_lets_nobody_in(tmp_path: Path) -> None:
    """Its users come over loopback, and need a token all the same."""
    made = _run(
        *("token", "create", "x", "--read", "#", "--file", str(tmp_path / "tokens.json"))
    ).stdout
    token = made.split()[0]
    with (
        Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon,
        nginx(tmp_path, daemon.address) as port,
    ):
        url = f"ws://127.0.0.1:{port}"
        async with Client(url, token=token) as client:
            assert [item.topic for item in await client.get("#")] == ["tank/level"]
        with pytest.raises(ClientError, match="send a token"):
            async with Client(url):
                raise AssertionError("it was let in")
        for host, expected in (("gateway.example", "200"), ("evil.example", "403")):
            assert await in_thread(status_of, host, port) == expected


def status_of(host: str, port: int) -> str:
    """Ask for a page under a name; return the status."""
    done = subprocess.run(
        [
            *("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"),
            *("-H", f"Host: {host}", f"http://127.0.0.1:{port}/healthz"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
