"""Acts that a hub passes on to a gateway, and what became of them: JSON over NATS. Pure.

A hub asks at a subject of the gateway's stream. The gateway's own leases, limits and audit decide,
and a key acts at most once, through whichever hub it comes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sensord.model.readings import Value

__all__ = ["LONGEST_S", "Order", "Report", "subject_for"]

LONGEST_S = 600.0

MOST_KEY = 128


def subject_for(stream: str) -> str:
    """Return the subject at which a gateway accepts orders."""
    return f"sensord_act.{stream}"


@dataclass(frozen=True, slots=True)
class Order:
    """A `set` or `call` of a client of a hub."""

    what: Literal["set", "call"]
    name: str
    args: dict[str, Value]
    key: str
    timeout_s: float
    client: str
    """What the client calls itself."""
    address: str
    token: str
    """The name of the token that let it in at the hub; empty without one."""

    def write(self) -> bytes:
        """Return the message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, data: bytes) -> Order:
        """Read a message.

        Raises:
            ValueError: It is not an order.
        """
        found: Any = json.loads(data)
        if not isinstance(found, dict) or set(found) != set(cls.__slots__):
            raise ValueError("not an order")
        if found["what"] not in {"set", "call"} or not isinstance(found["args"], dict):
            raise ValueError("what or args")
        texts = ("name", "key", "client", "address", "token")
        if not all(isinstance(found[one], str) for one in texts) or len(found["key"]) > MOST_KEY:
            raise ValueError("a text is missing or too long")
        timeout_s = found["timeout_s"]
        if type(timeout_s) not in {int, float} or not 0 < timeout_s <= LONGEST_S:
            raise ValueError("timeout_s")
        return cls(**found)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an order. ``reason`` is empty if it was done."""

    value: Value = None
    reason: str = ""
    message: str = ""
    may_have_acted: bool = False

    def write(self) -> bytes:
        """Return the message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, data: bytes) -> Report:
        """Read a message.

        Raises:
            ValueError: It is not a report.
        """
        found: Any = json.loads(data)
        if not isinstance(found, dict) or set(found) != set(cls.__slots__):
            raise ValueError("not a report")
        if {type(found["reason"]), type(found["message"])} != {str}:
            raise ValueError("reason or message")
        if type(found["may_have_acted"]) is not bool:
            raise ValueError("may_have_acted")
        return cls(**found)
