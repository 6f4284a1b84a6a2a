"""A session's own messages: ``hello``, ``bye``, ``ping``, ``cancel``, and how any request ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from sensord.errors import ProtocolError
from sensord.wire.fields import bad, flag, open_id
from sensord.wire.frames import Message
from sensord.wire.ops.base import Action, Answer, PlainRequest, Request, Result
from sensord.wire.ops.messages import group_names

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Bye",
    "Cancel",
    "Clock",
    "End",
    "Error",
    "Hello",
    "Ping",
    "Welcome",
]

MAX_NAME_CHARACTERS = 80
MAX_KEY_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Welcome(Result):
    """The result of ``hello``.

    ``client`` is the id by which others know this client, and ``key`` its secret; both are empty on
    a server without presence. ``limits`` are those of section 8 by their names. ``rights`` are the
    filters of what the session may do, by action, and ``admin``.
    """

    server: str
    session: str
    client: str
    key: str
    epoch: str
    offset: int
    time_us: int
    limits: Mapping[str, int]
    rights: Mapping[str, object] = field(default_factory=dict)

    def _fields(self) -> Message:
        return {
            "server": self.server,
            "session": self.session,
            "client": {"id": self.client, "key": self.key},
            "epoch": self.epoch,
            "offset": self.offset,
            "time_us": self.time_us,
            "limits": dict(self.limits),
            "rights": dict(self.rights),
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``hello``."""
        me = message.get("client") or {}
        return cls(
            message["id"],
            message["server"],
            message.get("session", ""),
            str(me.get("id", "")),
            str(me.get("key", "")),
            message["epoch"],
            message["offset"],
            message["time_us"],
            message.get("limits", {}),
            message.get("rights", {}),
        )


@dataclass(frozen=True, slots=True)
class Hello(Request[Welcome]):
    """Introduce the client."""

    op: ClassVar[str] = "hello"
    action: ClassVar[Action] = Action.SEND

    client: str = ""
    key: str | None = None
    groups: tuple[str, ...] | None = None
    is_ephemeral: bool = False
    token: str | None = field(default=None, repr=False)

    @property
    def subjects(self) -> tuple[str, ...]:
        """The groups that it joins."""
        return tuple(f"group/{name}" for name in self.groups or ())

    def _fields(self) -> Message:
        fields: Message = {"client": self.client}
        if self.key:
            fields["key"] = self.key
        if self.groups is not None:
            fields["groups"] = list(self.groups)
        if self.is_ephemeral:
            fields["ephemeral"] = True
        if self.token is not None:
            fields["token"] = self.token
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message; what cannot be printed is left out of the client's name."""
        client = message.get("client", "")
        if not isinstance(client, str) or len(client) > MAX_NAME_CHARACTERS:
            raise bad("client", f"send a text of at most {MAX_NAME_CHARACTERS} characters")
        key = message.get("key")
        if not (key is None or (isinstance(key, str) and len(key) <= MAX_KEY_CHARACTERS)):
            raise bad("key", "send the key from the result of an earlier hello, or leave it out")
        token = message.get("token")
        if not (token is None or (isinstance(token, str) and len(token) <= MAX_KEY_CHARACTERS)):
            raise bad("token", "send a token as text, or leave it out")
        groups = group_names(message, "groups") if "groups" in message else None
        name = "".join(c for c in client if c.isprintable())
        return cls(message["id"], name, key, groups, flag(message, "ephemeral"), token)

    def result(self, message: Mapping[str, Any]) -> Welcome:
        """Read the result."""
        return Welcome.read(message)


@dataclass(frozen=True, slots=True)
class Bye(PlainRequest):
    """Announce that the client will not come back."""

    op: ClassVar[str] = "bye"

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"])


@dataclass(frozen=True, slots=True)
class Clock(Result):
    """The result of ``ping``: the server's clock."""

    time_us: int

    def _fields(self) -> Message:
        return {"time_us": self.time_us}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``ping``."""
        return cls(message["id"], int(message["time_us"]))


@dataclass(frozen=True, slots=True)
class Ping(Request[Clock]):
    """Ask for the server's clock."""

    op: ClassVar[str] = "ping"

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"])

    def result(self, message: Mapping[str, Any]) -> Clock:
        """Read the result."""
        return Clock.read(message)


@dataclass(frozen=True, slots=True)
class Cancel(PlainRequest):
    """End an open request."""

    op: ClassVar[str] = "cancel"

    request: int

    def _fields(self) -> Message:
        return {"request": self.request}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], open_id(message, "request", "send the id of an open request"))


@dataclass(frozen=True, slots=True)
class Error:
    """The request failed; its id is null if the message had none.

    ``present`` is the current value where a conditional write found another version.
    """

    op: ClassVar[str] = "error"

    id: int | None
    code: str
    message: str
    present: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, request: int | None, error: ProtocolError) -> Self:
        """Return the answer that reports ``error``."""
        return cls(request, error.code, error.message, error.present)

    def as_error(self) -> ProtocolError:
        """Return the error that a client raises."""
        return ProtocolError(self.code, self.message, self.present)

    def write(self) -> Message:
        """Return the message."""
        message: Message = {
            "op": self.op,
            "id": self.id,
            "code": self.code,
            "message": self.message,
        }
        if self.present is not None:
            message["present"] = dict(self.present)
        return message

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(message["id"], message["code"], message["message"], message.get("present"))


@dataclass(frozen=True, slots=True)
class End(Answer):
    """The request is over.

    A ``history`` that was not cancelled has ``cursor``, where another one would continue, and
    ``is_complete``, which is false if ``limit`` ended it.
    """

    op: ClassVar[str] = "end"

    cursor: int | None = None
    is_complete: bool | None = None

    def _fields(self) -> Message:
        fields: Message = {}
        if self.cursor is not None:
            fields["cursor"] = self.cursor
        if self.is_complete is not None:
            fields["complete"] = self.is_complete
        return fields

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(message["id"], message.get("cursor"), message.get("complete"))


REQUESTS = (Hello, Bye, Ping, Cancel)
ANSWERS = (Error, End)
