"""TLS: listeners of their own, renewal while they serve, fingerprints, clients' certificates."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from sensord.client import Client, ClientError, Trust
from tests.integration.test_tokens import _run
from tests.kit.daemon import Daemon, on_uvloop

CONFIG = """
server.tls.listen = ["127.0.0.1:0"]
server.tls.certificate = "{folder}/certificate.pem"
server.tls.key = "{folder}/key.pem"
{more}
[devices.tank]
reader = "simulated"
topic = "tank/{{field}}"
signals.level = {{ shape = "constant", low = 4 }}
"""


def make(folder: Path, *names: str) -> str:
    """Make a certificate; return its fingerprint."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing")
    done = _run("cert", *names, "--folder", str(folder), "--force")
    assert done.returncode == 0, done.stderr
    found = re.search(r"fingerprint: ([0-9a-f]{64})", done.stdout)
    assert found is not None
    return found[1]


class Secure(Daemon):
    """A daemon with a listener for TLS beside the plain one."""

    def __init__(self, folder: Path, more: str = "") -> None:
        super().__init__(folder, CONFIG.format(folder=folder, more=more))

    @property
    def port(self) -> int:
        found = re.search(r"addresses=\"?\S+ \S+:(\d+)", self.wait_for_log("listening"))
        assert found is not None, self.log
        return int(found[1])

    @property
    def secure_url(self) -> str:
        return f"wss://127.0.0.1:{self.port}"


@on_uvloop()
async def test_clients_pin_a_certificate_that_nobody_signed(tmp_path: Path) -> None:
    """Another fingerprint is refused before anything is sent, and so is the certificate without."""
    fingerprint = make(tmp_path)
    with Secure(tmp_path) as daemon:
        async with Client(daemon.secure_url, trust=Trust(fingerprint)) as client:
            [item] = await client.get("tank/level")
            assert item.reading.value == 4
        with pytest.raises(ClientError, match=f"another fingerprint: {fingerprint}"):
            async with Client(daemon.secure_url, trust=Trust("ab" * 32)):
                raise AssertionError("it was trusted")
        with pytest.raises(ClientError, match="certificate verify failed"):
            async with Client(daemon.secure_url):
                raise AssertionError("it was trusted")
        trusted = Trust(authority=tmp_path / "certificate.pem")
        async with Client(daemon.secure_url, trust=trusted) as client:
            await client.ping()


@on_uvloop()
async def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    """Sessions stay; a damaged file leaves the old one in use."""
    old = make(tmp_path)
    with Secure(tmp_path) as daemon:
        async with Client(daemon.secure_url, trust=Trust(old)) as client:
            new = make(tmp_path)
            async with Client(daemon.secure_url, trust=Trust(new)) as other:
                await other.ping()
            (tmp_path / "certificate.pem").write_text("damaged")
            async with Client(daemon.secure_url, trust=Trust(new)) as other:
                await other.ping()
            daemon.wait_for_log("the old one stays in use")
            await client.ping()


@on_uvloop()
async def test_a_client_without_a_certificate_is_not_let_in(tmp_path: Path) -> None:
    """Where the configuration asks for one."""
    fingerprint = make(tmp_path)
    make(tmp_path / "client", "panel")
    mine = tmp_path / "client" / "both.pem"
    both = (tmp_path / "client" / name for name in ("certificate.pem", "key.pem"))
    mine.write_text("".join(one.read_text() for one in both))
    more = f'server.tls.client_authority = "{tmp_path}/client/certificate.pem"'
    with Secure(tmp_path, more) as daemon:
        async with Client(daemon.secure_url, trust=Trust(fingerprint, certificate=mine)) as client:
            await client.ping()
        with pytest.raises(ClientError):
            async with Client(daemon.secure_url, trust=Trust(fingerprint)):
                raise AssertionError("it was let in")


@on_uvloop()
async def test_plain_text_to_tls_and_tls_to_plain_disturb_nobody(tmp_path: Path) -> None:
    """Nor does TLS 1.1, nor silence, nor half a handshake."""
    fingerprint = make(tmp_path)
    with Secure(tmp_path) as daemon:
        async with Client(daemon.secure_url, trust=Trust(fingerprint)) as client:
            for first in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\0" * 100, b""):
                with socket.create_connection(("127.0.0.1", daemon.port)) as stranger:
                    stranger.sendall(first)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", daemon.port, ssl=Trust(fingerprint).context()
            )
            writer.write(b"nonsense\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            with pytest.warns(DeprecationWarning, match="TLSv1_1"):
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            for port in (daemon.port, int(daemon.address.rpartition(":")[2])):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await asyncio.open_connection("127.0.0.1", port, ssl=old)
            await client.ping()
        assert not [line for line in daemon.log if "Traceback" in line]
        status, _ = daemon.stop()
        assert status == 0


def test_commands_and_curl_reach_it(tmp_path: Path) -> None:
    """And a cookie over TLS is for TLS only."""
    fingerprint = make(tmp_path, "localhost", "127.0.0.1")
    with Secure(tmp_path, f'server.tokens = "{tmp_path}/tokens.json"') as daemon:
        file = ("--file", str(tmp_path / "tokens.json"))
        token = _run("token", "create", "x", "--read", "#", *file).stdout.split()[0]
        got = _run(
            *("get", "tank/level", "--url", daemon.secure_url, "--fingerprint", fingerprint),
            SENSORD_TOKEN=token,
        )
        assert "4" in got.stdout
        done = subprocess.run(
            [
                *("curl", "-sSi", "--cacert", str(tmp_path / "certificate.pem"), "-X", "POST"),
                *("-H", f"Authorization: Bearer {token}", f"https://127.0.0.1:{daemon.port}/login"),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.search(
            r"Set-Cookie: sensord=sc1_.*; HttpOnly; SameSite=Strict; .*; Secure", done.stdout
        )


def test_a_daemon_without_its_certificate_does_not_start(tmp_path: Path) -> None:
    """It names the file, before anything is created."""
    config = tmp_path / "config.toml"
    config.write_text(
        'server.listen = ["127.0.0.1:0"]\njournal.enabled = false\n'
        + CONFIG.format(folder=tmp_path, more="")
    )
    done = _run("run", str(config))
    assert done.returncode == 1
    assert "certificate.pem: no certificate with its key" in done.stderr


def test_a_certificate_is_not_replaced_unasked(tmp_path: Path) -> None:
    """Its clients have pinned it; the key is its owner's."""
    fingerprint = make(tmp_path)
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    assert "--force" in _run("cert", "--folder", str(tmp_path)).stderr
    assert fingerprint in _run("cert", "--show", "--folder", str(tmp_path)).stdout
