"""What a client raises when the server is not there, or not the one that it was."""

from __future__ import annotations

from sensord.errors import SensordError

__all__ = ["ClientError", "LostError", "StrangerError"]


class ClientError(SensordError):
    """The server cannot be reached, or will not have this client; the text says why.

    ``code`` is the close code, if the server gave one, else 1006.
    """

    def __init__(self, text: str, code: int = 1006) -> None:
        super().__init__(text)
        self.code = code


class LostError(ClientError):
    """The connection was lost before the answer."""


class StrangerError(ClientError):
    """The server does not know this client any more, nor what it has asked before."""

    def __init__(self, client: str) -> None:
        super().__init__(f"the server has forgotten the client {client}")
