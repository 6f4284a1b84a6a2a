"""Install the service on this machine, or remove it, as the Debian package does.

Owns the list of what belongs to the service: user, unit, socket unit and first configuration. Each
step looks first, so a second run changes nothing. The configuration is the operator's: it is
written once, and neither replaced nor removed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sensord.errors import SensordError

__all__ = ["CONFIG", "Installation", "hidden_from_the_service", "run_command"]

FILES = Path(__file__).parent
PROGRAM = "/opt/sensord/.venv/bin/sensord"
"""The program that the unit names until it is installed."""

CONFIG = "etc/sensord/config.toml"
UNIT = "etc/systemd/system/sensord.service"
SOCKET = "etc/systemd/system/sensord.socket"
USERS = "etc/sysusers.d/sensord.conf"
OF_THE_PACKAGE = ("lib/systemd/system/sensord.service", "usr/lib/systemd/system/sensord.service")

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  # named, not used
"""`ProtectHome=` and `PrivateTmp=` of the unit hide these."""

Run = Callable[[Sequence[str]], None]


def run_command(command: Sequence[str]) -> None:
    """Run a program of the system.

    Raises:
        SensordError: It is missing, or it failed.
    """
    if shutil.which(command[0]) is None:
        raise SensordError(f"{command[0]} is missing: this needs a machine with systemd")
    done = subprocess.run(  # noqa: S603  # our own words, and no shell reads them
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SensordError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")


def hidden_from_the_service(program: Path) -> Path | None:
    """Return what of the program and its Python the service could not read, or None."""
    for needed in (program, program.resolve(), Path(sys.prefix), Path(sys.base_prefix), FILES):
        if any(needed.is_relative_to(folder) for folder in HIDDEN):
            return needed
    return None


@dataclass(frozen=True, slots=True)
class Installation:
    """The service below a root folder, run by one program."""

    program: Path
    run: Run
    root: Path = Path("/")

    def install(self) -> Iterator[str]:
        """Install what is missing or differs; yield a line for each change.

        Raises:
            SensordError: The system refuses, or Debian's package has installed the service.
        """
        for place in OF_THE_PACKAGE:
            if (self.root / place).exists():
                raise SensordError(f"/{place} is there: the package has installed the service")
        if self._write(USERS, self._text("sensord.sysusers.conf")):
            yield f"wrote /{USERS}"
        self.run(["systemd-sysusers", str(self.root / USERS)])
        if not (self.root / CONFIG).exists():
            self._write(CONFIG, self._text("config.toml"), 0o640)
            # It may hold passwords: only root writes it, only the daemon reads it too.
            self.run(["chown", "root:sensord", str(self.root / CONFIG)])
            yield f"wrote /{CONFIG}, which holds no device yet"
        unit = self._text("sensord.service").replace(PROGRAM, str(self.program))
        is_new = self._write(UNIT, unit)
        if is_new:
            yield f"wrote /{UNIT}"
        if self._write(SOCKET, self._text("sensord.socket")):
            yield f"wrote /{SOCKET}, which is not enabled"
            is_new = True
        if is_new:
            self.run(["systemctl", "daemon-reload"])
        self.run(["systemctl", "enable", "sensord.service"])
        # A changed unit is used from the next start; the first one is now.
        self.run(["systemctl", "restart" if is_new else "start", "sensord.service"])

    def remove(self) -> Iterator[str]:
        """Remove all but configuration, data and user; yield a line for each change.

        Raises:
            SensordError: The system refuses.
        """
        present = [one for one in (UNIT, SOCKET, USERS) if (self.root / one).exists()]
        units = [Path(one).name for one in (SOCKET, UNIT) if one in present]
        if units:
            self.run(["systemctl", "disable", "--now", *units])
        for one in present:
            (self.root / one).unlink()
            yield f"removed /{one}"
        if units:
            self.run(["systemctl", "daemon-reload"])

    def _text(self, name: str) -> str:
        return (FILES / name).read_text(encoding="utf-8")

    def _write(self, place: str, text: str, mode: int = 0o644) -> bool:
        """Write a file whole or not at all; return whether it differed."""
        file = self.root / place
        try:
            if file.exists() and file.read_text(encoding="utf-8") == text:
                return False
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_name(f".{file.name}.new")
            new.unlink(missing_ok=True)
            new.touch(mode)
            new.chmod(mode)
            new.write_text(text, encoding="utf-8")
            new.replace(file)
        except OSError as exc:
            raise SensordError(f"{file}: cannot be written: {exc.strerror}") from exc
        return True
