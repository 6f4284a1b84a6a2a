"""What the machine itself knows: the present boot, and what sets its clock."""

from __future__ import annotations

import ctypes
import os
import secrets
from pathlib import Path

__all__ = ["Judgement", "boot_id", "has_hardware_clock", "is_synchronised", "is_to_be_synchronised"]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOT_ID_VARIABLE = "SENSORD_BOOT_ID"
HARDWARE_CLOCKS = Path("/sys/class/rtc")
TIMESYNC = Path("/run/systemd/timesync")
"""What systemd-timesyncd writes where the system call is not allowed, as in our unit."""
DAEMONS = (
    TIMESYNC,
    Path("/run/chrony/chronyd.pid"),
    Path("/run/chronyd.pid"),
    Path("/run/ntpd.pid"),
    Path("/run/ntp.pid"),
    Path("/run/openntpd.pid"),
)
"""Where those that synchronise clocks show that they run."""

_NOT_SYNCHRONISED = 5
"""TIME_ERROR of adjtimex(2)."""
_TIMEX_BYTES = 512
"""More than its structure has anywhere; zeros mean: change nothing."""

Judgement = tuple[bool | None, str]
"""Whether the clock is synchronised, if that is known, and the source of that knowledge."""


def boot_id(path: Path = BOOT_ID) -> str:
    """Return an id that no other boot of the machine has."""
    try:
        return path.read_text().strip().replace("-", "")
    except OSError:
        pass  # our unit hides it, and passes it on
    return os.environ.get(BOOT_ID_VARIABLE, "") or secrets.token_hex(16)  # at worst of the process


def has_hardware_clock(folder: Path = HARDWARE_CLOCKS) -> bool:
    """Return whether a clock with a battery set the system's clock at the boot."""
    for path in folder.glob("rtc*/hctosys"):
        try:
            if path.read_text().strip() == "1":
                return True
        except OSError:
            pass  # an unreadable one is ignored
    return False


def is_to_be_synchronised(daemons: tuple[Path, ...] = DAEMONS) -> bool:
    """Return whether a program runs that synchronises the clock, sooner or later."""
    return any(path.exists() for path in daemons)


def is_synchronised(timesync: Path = TIMESYNC) -> Judgement:
    """Ask whether the clock is synchronised."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    if state >= 0:
        return state != _NOT_SYNCHRONISED, "kernel"
    if timesync.is_dir():
        return (timesync / "synchronized").exists(), "systemd-timesyncd"
    return None, ""
