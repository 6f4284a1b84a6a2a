"""`sensord setup`: install the service on this machine, or remove it."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from sensord.errors import SensordError, UsageError
from sensord.service.installation import (
    CONFIG,
    Installation,
    hidden_from_the_service,
    run_command,
)

__all__ = ["configure", "run"]

HELP = """\
Makes the user sensord, a first configuration and the unit, and starts the service. It can be
repeated: what is there is kept. --undo removes the service, and keeps configuration and data.

The program must lie where the service can read it, not in somebody's home:

  sudo PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install sensord
  sudo UV_TOOL_DIR=/opt/uv UV_TOOL_BIN_DIR=/usr/local/bin uv tool install --python /usr/bin/python3 sensord
  sudo sensord setup --service
"""  # noqa: E501  # a command is one line


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = HELP
    parser.add_argument("--service", action="store_true", help="the service of systemd")
    parser.add_argument("--undo", action="store_true", help="remove it again")


def run(options: argparse.Namespace) -> int:
    """Install or remove it; report what has changed."""
    if not options.service:
        raise UsageError("give --service")
    if os.geteuid() != 0:
        raise SensordError("only root may do this: sudo sensord setup --service")
    program = _program()
    installation = Installation(program, run_command)
    if options.undo:
        changes = list(installation.remove())
        print("\n".join(changes) or "the service was not there")
        print("kept: /etc/sensord, /var/lib/sensord, the user sensord")
        return 0
    if hidden := hidden_from_the_service(program):
        raise SensordError(
            f"the service cannot read {hidden}: install sensord outside of homes and /tmp,"
            " as sensord setup --help shows"
        )
    for change in installation.install():
        print(change, flush=True)
    print(f"sensord runs; its configuration is /{CONFIG}")
    return 0


def _program() -> Path:
    """Return the command as it was called, with its folder."""
    found = shutil.which(sys.argv[0])
    if found is None or Path(found).suffix == ".py":
        raise SensordError("call the installed command: sudo sensord setup --service")
    return Path(found).absolute()
