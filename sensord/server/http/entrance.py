"""The entrance: which plain requests and upgrades may enter, and with which rights.

Owns the headers ``Host``, ``Origin``, ``Authorization`` and ``Cookie``; knows no socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from websockets.http11 import Request, Response

from sensord.access.gate import Entry, Gate, RefusedError
from sensord.access.origins import Origins
from sensord.access.rights import NOTHING
from sensord.server.http.response import response, sentence
from sensord.server.http.routes import Answer

__all__ = ["Entrance"]

COOKIE = "sensord"

ALLOWED_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"

PREFLIGHT_S = 600
"""How long a browser remembers that an origin may send requests."""


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a server checks of each first request."""

    gate: Gate
    origins: Origins
    """Which pages may send requests, and by which names."""
    now_us: Callable[[], int]

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to a page that may not send requests, or to a name that is not ours."""
        host, origin = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if len(host) > 1 or len(origin) > 1:
            return sentence(400, "Send at most one Host and one Origin.")
        refusal = self.origins.refusal(host[0] if host else None, origin[0] if origin else None)
        return None if refusal is None else sentence(403, f"Refused: {refusal}.")

    def entry(self, request: Request) -> Entry | None:
        """Return the rights of the request's token or cookie; None if it has neither.

        An expired cookie grants nothing, but refuses nothing either: the login page can be read,
        and the answer to `hello` reports it to a browser, which hides other cookies.

        Raises:
            RefusedError: Its token is invalid.
        """
        gate, now_us = self.gate, self.now_us()
        given = request.headers.get_all("Authorization")
        if given:
            scheme, _, text = given[0].partition(" ")
            if len(given) > 1 or scheme.lower() != "bearer":
                raise RefusedError("send one header Authorization: Bearer with a token")
            return gate.enter(text.strip(), now_us)
        cookie = _cookie_in(request)
        if cookie is None:
            return None
        try:
            return gate.enter(cookie, now_us)
        except RefusedError:
            return Entry(NOTHING)

    def log_in_or_out(
        self, request: Request, entry: Entry | None, *, is_encrypted: bool
    ) -> Response | None:
        """Exchange the token of a request for a cookie, or revoke the cookie; None for others."""
        path = request.path.partition("?")[0]
        if request.method != "POST" or path not in {"/login", "/logout"}:
            return None
        secure = "; Secure" if is_encrypted else ""
        if path == "/logout":
            life = f"; Max-Age=0{secure}"
            value = ""
        elif entry is None or entry.token is None:
            return sentence(401, "Send a token: Authorization: Bearer.")
        else:
            value, seconds = self.gate.cookie(entry, self.now_us())
            life = f"; Max-Age={seconds}{secure}"
        cookie = f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{life}"
        return response(Answer(204, "text/plain", b""), None, {"Set-Cookie": cookie})

    def sharing(self, request: Request) -> dict[str, str]:
        """Return the headers that allow a page of an allowed origin to read an answer."""
        origin = request.headers.get("Origin")
        if origin is None or not self.origins.is_allowed(origin):
            return {}
        headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS":
            headers["Access-Control-Allow-Methods"] = "GET, POST"
            headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            headers["Access-Control-Allow-Private-Network"] = "true"
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_S)
        return headers


def _cookie_in(request: Request) -> str | None:
    """Return our cookie, if the request has it."""
    for header in request.headers.get_all("Cookie"):
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == COOKIE:
                return value
    return None
