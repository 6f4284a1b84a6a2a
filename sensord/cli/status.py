"""`sensord status`: report on one screen whether all is well, the worst first."""

from __future__ import annotations

import argparse
import json

from sensord.cli.connection import asked
from sensord.cli.options import configure_client
from sensord.cli.statuses import status_of
from sensord.client import Client, ClientError
from sensord.status.verdict import Finding, Severity, verdict

__all__ = ["configure", "run"]

WORDS = {Severity.OK: "ok", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}

STATUSES = {Severity.OK: 0, Severity.WARNING: 1, Severity.CRITICAL: 6}

EPILOG = (
    "exit status: 0 all is well, 1 something needs attention, "
    "5 the daemon cannot be reached, 6 it does not do its work"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EPILOG
    parser.add_argument("--json", action="store_true", help="one JSON object")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show the findings; return the worst one's severity as the exit status."""
    worst = Severity.OK

    async def status(client: Client) -> str:
        nonlocal worst
        last = await client.get("$sys/#")
        findings = verdict({one.topic: one.reading.value for one in last})
        worst = max((one.severity for one in findings), default=Severity.OK)
        server = client.server.server
        return _json(server, worst, findings) if options.json else _screen(server, findings)

    try:
        asked(options, "status", status)
    except ClientError as exc:
        if options.json:
            print(json.dumps({"status": "critical", "error": str(exc)}))
        else:
            print(f"critical  daemon   {exc}")
        return status_of(exc)
    return STATUSES[worst]


def _screen(server: str, findings: list[Finding]) -> str:
    width = max(len(one.subject) for one in findings) if findings else 0
    lines = [server]
    for one in findings:
        mend = f"  ({one.mend})" if one.mend else ""
        lines.append(f"{WORDS[one.severity]:<9} {one.subject:<{width}}  {one.text}{mend}")
    return "\n".join(lines)


def _json(server: str, worst: Severity, findings: list[Finding]) -> str:
    rows = [
        {"severity": WORDS[severity], "subject": subject, "text": text, "mend": mend}
        for severity, subject, text, mend in findings
    ]
    found = {"status": WORDS[worst], "server": server, "findings": rows}
    return json.dumps(found, ensure_ascii=False)
