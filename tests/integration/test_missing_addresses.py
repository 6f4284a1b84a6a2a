"""A listen address that is not there yet ends nothing; one that another program has leaves nothing.

Each daemon runs in a network of its own, where ports are free and addresses come when a test adds
them.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kit.daemon import SENSORD, Daemon, sensord
from tests.kit.network import alone, inside, needs_network

SIMULATED = """
[devices.weather]
reader = "simulated"
interval = "50ms"
signals.wind = { high = 10 }
publish = { policy = "every" }
"""

NO_IPV6 = "sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"
FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=20).read().decode())"


def recording(folder: Path) -> str:
    return f'journal.folder = "{folder}"\njournal.commit_interval = "100ms"\n{SIMULATED}'


def health(pid: int, address: str) -> Any:
    """Return what ``/healthz`` shows in the daemon's network."""
    return json.loads(inside(pid, sys.executable, "-c", FETCH, f"http://{address}/healthz"))


@needs_network
def test_the_daemon_serves_and_records_while_an_address_is_missing(tmp_path: Path) -> None:
    """It names the address and the reason, and binds it when it comes."""
    daemon = Daemon(
        tmp_path,
        recording(tmp_path / "journal"),
        under=alone(NO_IPV6),
        listen=["127.0.0.1:8765", "[::1]:8765"],
    )
    with daemon:
        line = daemon.wait_for_log("address is missing")
        assert "address=[::1]:8765 error=EADDRNOTAVAIL" in line
        told = health(daemon.pid, "127.0.0.1:8765")
        assert told["status"] == "incomplete"
        reason = "EADDRNOTAVAIL: no interface of this machine has that address"
        assert told["missing"] == {"[::1]:8765": reason}
        shown = inside(daemon.pid, *SENSORD, "get", "$sys/addresses")
        assert "EADDRNOTAVAIL" in shown
        assert "another sensord" not in "".join(daemon.log)

        inside(daemon.pid, "sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=0")
        daemon.wait_for_log("addresses=[::1]:8765")
        told = health(daemon.pid, "[::1]:8765")
        assert told["status"] == "ok"
        assert "missing" not in told
        url = ("--url", "ws://[::1]:8765")
        assert "incomplete" not in inside(daemon.pid, *SENSORD, "get", "$sys/addresses", *url)
        status, _ = daemon.stop()
    assert status == 0, daemon.log
    assert "weather/wind" in sensord("info", str(tmp_path / "journal"), "--topics").stdout


@needs_network
def test_without_any_address_it_records_until_one_comes(tmp_path: Path) -> None:
    """A gateway whose cable is unplugged at the start loses no reading."""
    config = f"server.insecure = true\n{recording(tmp_path / 'journal')}"
    daemon = Daemon(tmp_path, config, under=alone(), listen=["192.0.2.7:8765"])
    with daemon:
        daemon.wait_for_log("address is missing")
        assert not [line for line in daemon.log if "listening" in line]
        inside(daemon.pid, "ip", "address", "add", "192.0.2.7/32", "dev", "lo")
        daemon.wait_for_log("addresses=192.0.2.7:8765")
        told = health(daemon.pid, "192.0.2.7:8765")
        assert told["status"] == "ok"
        assert told["offset"] > 0
        assert daemon.stop()[0] == 0


@needs_network
def test_waiting_for_an_address_costs_next_to_nothing(tmp_path: Path) -> None:
    """It is tried every two seconds, not in a loop; the reason is logged once."""
    daemon = Daemon(tmp_path, "", under=alone(NO_IPV6), listen=["127.0.0.1:8765", "[::1]:8765"])
    with daemon:
        daemon.wait_for_log("address is missing")
        inside(daemon.pid, "sleep", "1")  # the list of services comes a moment after the start
        before_s, offset = daemon.cpu_s(), health(daemon.pid, "127.0.0.1:8765")["offset"]
        # Three attempts later; each daemon command takes a while of its own.
        inside(daemon.pid, "sleep", "6")
        assert daemon.cpu_s() - before_s < 0.5
        assert health(daemon.pid, "127.0.0.1:8765")["offset"] == offset
        assert len([line for line in daemon.log if "is missing" in line]) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_of_another_program_is_found_before_anything_is_created(
    tmp_path: Path, host: str
) -> None:
    """No journal and no store: the folder may be that of the daemon that has the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"{host}:{other.getsockname()[1]}"
        file = tmp_path / "config.toml"
        file.write_text(f'server.listen = ["{address}"]\n{recording(tmp_path / "journal")}')
        done = sensord("run", str(file))
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "another program has the port" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
