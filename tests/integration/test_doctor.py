"""`sensord doctor` shows where the way from a device to a value ends."""

from __future__ import annotations

import os
import pty
import threading
import tty
from pathlib import Path

from tests.kit.daemon import sensord


def config(folder: Path, port: str, decoder: str = "number") -> Path:
    file = folder / "config.toml"
    file.write_text(
        f'[devices.scale]\nreader = "serial"\nport = "{port}"\ndecoder = "{decoder}"\n'
        '[devices.made]\nreader = "simulated"\n'
    )
    return file


def test_a_port_that_speaks_is_shown_with_its_values(tmp_path: Path) -> None:
    """Bytes, what the decoder makes of them, and the exit status."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    port, is_over = os.ttyname(slave), threading.Event()
    os.close(slave)

    def speak() -> None:
        while not is_over.wait(0.05):
            os.write(master, b"21.5\r\n")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        file = str(config(tmp_path, port))
        done = sensord("doctor", file, "--for", "2s")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "nobody holds it" in done.stdout
        assert "bytes came, beginning with b'" in done.stdout
        assert "scale/value = 21.5" in done.stdout
        assert "made/value = " in done.stdout
        wrong = str(config(tmp_path, port, "json"))
        done = sensord("doctor", wrong, "--device", "scale", "--for", "2s")
        assert "made" not in done.stdout
        holder = os.open(port, os.O_RDWR | os.O_NOCTTY)
        done = sensord("doctor", file, "--device", "scale", "--for", "1s")
        os.close(holder)
        assert done.returncode == 1
        assert f"held by process {os.getpid()} (" in done.stdout
    finally:
        is_over.set()
        speaker.join()
        os.close(master)


def test_a_missing_port_is_named(tmp_path: Path) -> None:
    """With what to do."""
    done = sensord("doctor", str(config(tmp_path, "/dev/ttyNone")), "--device", "scale")
    assert done.returncode == 1
    assert "/dev/ttyNone: No such file or directory; sensord ports" in done.stdout
