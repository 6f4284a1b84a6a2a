"""The commands of `sensord`, grouped by what one wants, each with its summary and an example."""

from __future__ import annotations

import argparse
import difflib
import importlib
import keyword
from typing import NamedTuple, Protocol, cast

from sensord.cli.statuses import STATUS_HELP

__all__ = ["COMMANDS", "DESCRIPTION", "GROUPS", "Entry", "module_of", "overview", "parser_of"]
__all__ += ["unknown"]

DESCRIPTION = "The daemon between ugly sensors and the people who need their readings."


class Entry(NamedTuple):
    """A command: what it does, and how it is used."""

    summary: str
    example: str


GROUPS: dict[str, dict[str, Entry]] = {
    "Look": {
        "status": Entry("say whether all is well, the worst first", "sensord status"),
        "monitor": Entry(
            "fill the terminal with values, devices and alarms, as they change",
            "sensord monitor 'plant/#'",
        ),
        "get": Entry("show the last values of topics", "sensord get 'plant/#'"),
        "tail": Entry("follow readings of a running daemon", "sensord tail 'plant/#' --limit 10"),
        "history": Entry(
            "show past readings, or a summary per interval",
            "sensord history plant/boiler/temperature --from -12h --interval 1h",
        ),
        "topics": Entry("list topics with their units and kinds", "sensord topics 'plant/#'"),
        "devices": Entry("list devices and their states", "sensord devices"),
        "sniff": Entry(
            "show what a device's connection carries, raw and decoded, while it runs",
            "sensord sniff boiler --for 10s",
        ),
        "alarms": Entry("list alarms, the most urgent first", "sensord alarms"),
        "clients": Entry("list connected clients and what they watch", "sensord clients"),
        "uplinks": Entry(
            "list deliveries to other systems; pause, resume or rewind one", "sensord uplinks"
        ),
    },
    "Act": {
        "controls": Entry("list what can be set and called", "sensord controls"),
        "set": Entry("set a writable topic of a device", "sensord set plant/heating/setpoint 21.5"),
        "call": Entry(
            "call an action of a device, or a service", "sensord call boiler/purge minutes=5"
        ),
        "ack": Entry("acknowledge an alarm", "sensord ack boiler_hot 'on my way'"),
        "shelve": Entry("silence an alarm for some time", "sensord shelve boiler_hot --for 2h"),
        "unshelve": Entry("end the silence of an alarm", "sensord unshelve boiler_hot"),
        "lease": Entry(
            "hold a device, a topic or an action, so that no other client acts on it",
            "sensord lease hold boiler",
        ),
        "forget": Entry(
            "remove topics that will not come back from listings and snapshots",
            "sensord forget 'plant/old/#'",
        ),
    },
    "Share": {
        "send": Entry(
            "send a message to other clients", "sensord send 'filter changed' --group crew"
        ),
        "receive": Entry("show messages from other clients", "sensord receive --group crew"),
        "publish": Entry(
            "publish readings of a topic that is open to clients",
            "sensord publish lab/oven 21.5",
        ),
        "put": Entry("write shared state", "sensord put state/shift '\"Anna\"'"),
        "delete": Entry("delete shared state", "sensord delete state/shift"),
        "serve": Entry(
            "offer a service that runs a program for each call",
            "sensord serve words -- sh -c 'jq -r .text | wc -w'",
        ),
    },
    "Record": {
        "record": Entry(
            "record the readings of a running daemon into a file",
            "sensord record 'plant/#' -o trial.mcap --for 10m",
        ),
        "export": Entry(
            "convert recorded readings to another format",
            "sensord export /var/lib/sensord/journal -o readings.csv --from -1d",
        ),
        "import": Entry(
            "make a recording from CSV files and logs of other programs",
            "sensord import old.csv -o old.mcap",
        ),
        "info": Entry("describe journals and recorded files", "sensord info trial.mcap"),
        "replay": Entry(
            "serve recordings to monitors as a running daemon would",
            "sensord replay trial.mcap --speed 10",
        ),
        "capture": Entry(
            "store what a device sends, byte for byte",
            "sensord capture --config config.toml boiler -o boiler.mcap --for 1m",
        ),
        "wear": Entry("estimate how long the SD card or disk will last", "sensord wear"),
    },
    "Set up": {
        "demo": Entry("run the whole chain without hardware or broker", "sensord demo"),
        "ports": Entry("list serial ports with their stable paths", "sensord ports"),
        "profiles": Entry(
            "list profiles of devices, show one, or test them on their samples",
            "sensord profiles",
        ),
        "try": Entry(
            "pass a line or bytes through a decoder, a profile or a configured device",
            "sensord try --decoder nmea0183 '$SDDPT,8.4,0.3*58'",
        ),
        "check": Entry(
            "check a configuration file; touches no device and no network",
            "sensord check config.toml",
        ),
        "doctor": Entry(
            "look at each configured device, from the port to the values",
            "sensord doctor config.toml",
        ),
        "run": Entry("run the daemon on a configuration file", "sensord run config.toml"),
        "hub": Entry("serve the logs of many gateways from NATS JetStream", "sensord hub hub.toml"),
        "reload": Entry("have a running daemon read its configuration again", "sensord reload"),
        "setup": Entry("install the service on this machine, or remove it", "sensord setup"),
        "token": Entry(
            "create, list and revoke the tokens that let programs and people in",
            "sensord token list",
        ),
        "cert": Entry("make a certificate for TLS, and print its fingerprint", "sensord cert"),
        "completion": Entry(
            "print the completion of commands for a shell, or the manual page",
            'eval "$(sensord completion bash)"',
        ),
    },
}
"""What one wants, and the commands for it."""

COMMANDS: dict[str, str] = {
    name: entry.summary for group in GROUPS.values() for name, entry in group.items()
}


MEANT = {
    "quit": "ack",
    "acknowledge": "ack",
    "silence": "shelve",
    "mute": "shelve",
    "unmute": "unshelve",
    "top": "monitor",
    "watch": "monitor",
    "ls": "topics",
    "list": "topics",
    "show": "get",
    "follow": "tail",
    "logs": "history",
    "past": "history",
    "health": "status",
    "start": "run",
    "graph": "history",
    "plot": "history",
}
"""Commands by other words for them."""


class Command(Protocol):
    """The shape of a command's module."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare its options."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Run the command; return the exit status."""
        ...


class _Parser(argparse.ArgumentParser):
    """A parser whose help ends with an example and the exit statuses."""

    example = ""

    def format_help(self) -> str:
        """Return the help."""
        text = super().format_help().rstrip("\n")
        return f"{text}\n\nexample:\n  {self.example}\n\n{STATUS_HELP}"


def module_of(name: str) -> Command:
    """Import the module of a command."""
    module = f"{name}_" if keyword.iskeyword(name) else name
    return cast("Command", importlib.import_module(f"sensord.cli.{module}"))


def parser_of(name: str) -> tuple[argparse.ArgumentParser, bool]:
    """Return the parser of a command, and whether the command makes JSON itself."""
    entry = next(group[name] for group in GROUPS.values() if name in group)
    sentence = f"{entry.summary[0].upper()}{entry.summary[1:]}."
    parser = _Parser(prog=f"sensord {name}", description=sentence)
    parser.example = entry.example
    module_of(name).configure(parser)
    has_own_json = "--json" in parser._option_string_actions  # noqa: SLF001  # no other way to ask
    if not has_own_json:
        parser.add_argument(
            "--json", action="store_true", help="print the answer, and an error, as JSON lines"
        )
    return parser, has_own_json


def overview() -> str:
    """Return the help of `sensord` itself."""
    width = max(len(name) for name in COMMANDS) + 2
    lines = ["usage: sensord COMMAND [OPTION …]", "", DESCRIPTION]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<{width}}{entry.summary}" for name, entry in group.items()]
    lines += [
        "",
        "sensord COMMAND --help describes a command; --version prints the version.",
        "--url, or $SENSORD_URL, names the daemon: a host, host:port, ws://, wss:// or unix:/path.",
    ]
    return "\n".join(lines)


def unknown(name: str) -> str:
    """Describe a command that does not exist, with the nearest one."""
    near = [MEANT[name]] if name in MEANT else difflib.get_close_matches(name, COMMANDS, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"sensord: {name} is not a command{meant} (sensord --help lists them)"
