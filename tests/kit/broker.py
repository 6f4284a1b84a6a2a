"""A mosquitto of one's own, on a free port of the loopback, and a client that publishes to it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

__all__ = ["Broker", "Certificates", "Publisher", "free_port"]

START_S = 60.0


def needed(program: str, package: str) -> str:
    """Return the program's path; a missing one fails the test and says what to install."""
    found = shutil.which(program, path="/usr/bin:/usr/sbin:/usr/local/bin:/usr/local/sbin")
    if found is None:
        pytest.fail(f"{program} is missing: apt install {package}")
    return found


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """Debian's mosquitto; stops and starts again on the same port with what it had stored."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._program = needed("mosquitto", "mosquitto")
        self._config = folder / "mosquitto.conf"
        self._options = [
            # Run by root it would become another user and not see the test's files.
            "user root",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            "log_dest stderr",
            f"listener {self.port} {self.host}",
            *options,
        ]
        if not any(option.startswith("allow_anonymous") for option in options):
            self._options.append("allow_anonymous true")
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.log: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and return when it listens."""
        self._config.write_text("\n".join(self._options) + "\n")
        command = [self._program, "-c", str(self._config)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        running = threading.Event()

        def read() -> None:
            assert process.stderr is not None
            with process.stderr as lines:
                for line in lines:
                    self.log.append(line)
                    if "running" in line:
                        running.set()
            running.set()  # it ended; who waits finds out

        self._reader = threading.Thread(target=read, name="mosquitto's log", daemon=True)
        self._reader.start()
        self._process = process
        assert running.wait(START_S), "mosquitto did not start in time"
        assert process.poll() is None, "".join(self.log)

    def stop(self) -> None:
        """Let it end in order: it disconnects its clients and saves."""
        assert self._process is not None
        self._process.terminate()
        self._end()

    def kill(self) -> None:
        """End it in the middle of whatever it does."""
        assert self._process is not None
        self._process.kill()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._process.wait()
        self._reader.join()
        self._process = None


class Publisher:
    """A client with a thread of its own that publishes and waits until the broker has it."""

    def __init__(self, broker: Broker) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_inflight_messages_set(0)
        accepted = threading.Event()
        self._client.on_connect = lambda *_: accepted.set()
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()
        # A broker whose CONNACK finds the socket closed loses what it has not read from it.
        assert accepted.wait(START_S), "mosquitto did not answer in time"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, *payloads: bytes, qos: int = 0, retain: bool = False) -> None:
        """Publish each payload to ``topic``."""
        self.publish_all(((topic, payload) for payload in payloads), qos=qos, retain=retain)

    def publish_all(
        self, messages: Iterable[tuple[str, bytes]], qos: int = 0, *, retain: bool = False
    ) -> None:
        """Publish many and return when all are sent, or acknowledged from QoS 1 on."""
        sent = [self._client.publish(topic, payload, qos, retain) for topic, payload in messages]
        for one in sent:
            one.wait_for_publish(timeout=START_S)
            assert one.is_published()


class Certificates:
    """An authority and what it signed: a server at 127.0.0.1, and a client."""

    def __init__(self, folder: Path) -> None:
        self._openssl = needed("openssl", "openssl")
        self._folder = folder
        self.ca = folder / "ca.pem"
        self.server, self.server_key = folder / "server.pem", folder / "server.key"
        self.client, self.client_key = folder / "client.pem", folder / "client.key"
        self._new(self.ca, folder / "ca.key", "ca", "-x509")
        self._signed(self.server, self.server_key, "server", "subjectAltName=IP:127.0.0.1")
        self._signed(self.client, self.client_key, "client", "extendedKeyUsage=clientAuth")

    def _new(self, certificate: Path, key: Path, name: str, *how: str) -> None:
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}"]
        self._run("req", *how, *kind, *files)

    def _signed(self, certificate: Path, key: Path, name: str, extension: str) -> None:
        request = self._folder / f"{name}.csr"
        self._new(request, key, name, "-new")
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(extension)
        signer = ["-CA", str(self.ca), "-CAkey", str(self._folder / "ca.key"), "-CAcreateserial"]
        files = ["-in", str(request), "-out", str(certificate), "-extfile", str(extensions)]
        self._run("x509", "-req", *signer, *files)

    def _run(self, *arguments: str) -> None:
        subprocess.run([self._openssl, *arguments], check=True, capture_output=True)
