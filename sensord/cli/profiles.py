"""`sensord profiles`: list the profiles of devices, show one, or test them on their samples."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sensord import profiles
from sensord.errors import UsageError
from sensord.trial.profiles import check

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "a profile is given by its name, or by the path of a .toml file"
    parser.add_argument("act", nargs="?", choices=["show", "test"])
    parser.add_argument("profile", nargs="*", help="names or files; for test: all by default")
    parser.add_argument("--folder", type=Path, help="a folder with profiles of your own")


def run(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    if options.act is None:
        for name in profiles.names(options.folder):
            profile = profiles.find(name, options.folder)
            print(f"{name:<18} {profile.title}")
        return 0
    if options.act == "show":
        if not options.profile:
            raise UsageError("sensord profiles show NAME: name a profile")
        for name in options.profile:
            _show(profiles.find(name, options.folder))
        return 0
    wrong = 0
    for name in options.profile or profiles.names(options.folder):
        profile = profiles.find(name, options.folder)
        found = list(check(profile))
        for line in found:
            print(line, file=sys.stderr)
        wrong += bool(found)
        if not found:
            print(f"{profile.name}: {len(profile.samples)} samples as expected")
    return 1 if wrong else 0


def _show(profile: profiles.Profile) -> None:
    print(profile.title)
    if profile.models:
        print(f"for {', '.join(profile.models)}")
    for text in (profile.notes, f"source: {profile.source}" if profile.source else ""):
        if text:
            print(text.strip())
    needs = "host" if profile.device.get("reader") == "mqtt" else "port"
    print(f'\n[devices.NAME]\nprofile = "{profile.name}"\n{needs} = "..."')
