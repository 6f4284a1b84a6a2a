"""`sensord cert`: make a certificate for TLS, signed by itself, and print its fingerprint."""

from __future__ import annotations

import argparse
import hashlib
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

from sensord.cli.token import default_file
from sensord.errors import SensordError, UsageError

__all__ = ["configure", "run"]

HELP = """\
The certificate is valid for the names and addresses given, by default those of this machine.
No authority signs it, so a client has to be given its fingerprint:

  sensord cert gateway gateway.local 192.168.1.20
  sensord tail --url wss://192.168.1.20:8766 --fingerprint SHA256
"""

OWNER_ONLY = 0o077


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="names and addresses of the machine")
    add("--folder", type=Path, default=default_file().parent, help="default: %(default)s")
    add("--days", type=int, default=3650, help="how long it is valid (default: 3650)")
    add("--force", action="store_true", help="replace a certificate that is there")
    add("--show", action="store_true", help="only print the fingerprint of the one that is there")


def run(options: argparse.Namespace) -> int:
    """Make it, or show it."""
    certificate, key = options.folder / "certificate.pem", options.folder / "key.pem"
    if not options.show:
        if certificate.exists() and not options.force:
            raise UsageError(f"{certificate} is there already; give --show or --force")
        host = socket.gethostname().partition(".")[0]
        names = options.names or [host, f"{host}.local", "localhost", "127.0.0.1", "::1"]
        _make(certificate, key, names, options.days)
    print(f"certificate: {certificate}")
    print(f"key:         {key}")
    print(f"fingerprint: {_fingerprint(certificate)}")
    return 0


def _make(certificate: Path, key: Path, names: list[str], days: int) -> None:
    if shutil.which("openssl") is None:
        raise SensordError("the program openssl is missing; apt install openssl")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", str(days), "-subj", f"/CN={names[0]}"]
    command += ["-addext", "subjectAltName=" + ",".join(map(_alternative, names))]
    new_key, new = key.with_suffix(".new"), certificate.with_suffix(".new")
    command += ["-keyout", str(new_key), "-out", str(new)]
    before = os.umask(OWNER_ONLY)
    try:
        certificate.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603  # the names are checked, and no shell reads them
            command, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SensordError(f"openssl failed: {done.stderr.strip()}")
        owner = certificate.parent.stat()
        for made, place in ((new_key, key), (new, certificate)):
            if os.geteuid() == 0:
                # Made by root in the daemon's folder, it must be the daemon's.
                os.chown(made, owner.st_uid, owner.st_gid)
            made.replace(place)
    except OSError as exc:
        raise SensordError(f"{certificate.parent}: cannot be written: {exc.strerror}") from exc
    finally:
        os.umask(before)


def _alternative(name: str) -> str:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if not name.replace("-", "").replace(".", "").replace("*", "").isalnum():
            raise UsageError(f"{name}: expected a name or an address") from None
        return f"DNS:{name}"
    return f"IP:{name}"


def _fingerprint(certificate: Path) -> str:
    try:
        text = certificate.read_text(encoding="ascii")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text.strip())).hexdigest()
    except (OSError, ValueError) as exc:
        raise SensordError(f"{certificate}: no certificate: {exc}") from exc
