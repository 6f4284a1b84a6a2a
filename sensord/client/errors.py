"""The errors of a client whose server is unreachable, or has forgotten it."""

from __future__ import annotations

from sensord.errors import SensordError

__all__ = ["ClientError", "LostError", "StrangerError"]


class ClientError(SensordError):
    """The server cannot be reached or refuses this client; the text gives the reason.

    ``code`` is the close code, or 1006 if the server sent none.
    """

    def __init__(self, text: str, code: int = 1006) -> None:
        super().__init__(text)
        self.code = code


class LostError(ClientError):
    """The connection was lost before the answer."""


class StrangerError(ClientError):
    """The server has forgotten this client and its earlier requests."""

    def __init__(self, client: str) -> None:
        super().__init__(f"the server has forgotten the client {client}")
