"""The head of an answer: its status, its headers, and what a browser may keep or show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from sensord.server.http.routes import Answer
from sensord.web import packed

__all__ = ["cached", "response", "safe", "sentence"]

PHRASES = {
    200: "OK",
    204: "No Content",
    304: "Not Modified",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The page loads nothing from elsewhere and is shown in no frame; other sites embed nothing of it.
The third header is for browsers that do not know ``frame-ancestors``."""


def response(
    answer: Answer, body: bytes | None = None, more: Mapping[str, str] | None = None
) -> Response:
    """Make the head of an answer, with its body if that is known."""
    headers = Headers({"Connection": "close"})
    headers["Content-Type"] = f"{answer.content_type}; charset=utf-8"
    if body is not None:
        headers["Content-Length"] = str(len(body))
    headers["Cache-Control"] = "no-store"
    for name, value in (SAFE_HEADERS | dict(more or {})).items():
        headers[name] = value
    return Response(answer.status, PHRASES.get(answer.status, "Error"), headers, body or b"")


def cached(answer: Answer, request: Request) -> tuple[Answer, dict[str, str]]:
    """Return an answer that a browser may keep, compressed if it accepts that, and its headers."""
    tag, body = answer.tag, answer.body
    caching = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding, Origin"}
    if isinstance(body, bytes) and _accepts_gzip(request):
        tag, body = f'{tag[:-1]}-gzip"', packed(body)
        caching["Content-Encoding"] = "gzip"
    caching["ETag"] = tag
    if request.headers.get("If-None-Match") == tag:
        caching.pop("Content-Encoding", None)
        return Answer(304, answer.content_type, b""), caching
    return replace(answer, body=body), caching


def sentence(status: int, text: str) -> Response:
    """Make an answer of one sentence."""
    body = f"{text}\n".encode()
    return response(Answer(status, "text/plain", body), body)


def safe(answer: Response) -> Response:
    """Add the headers that every answer has to one that the library made."""
    for name, value in SAFE_HEADERS.items():
        if name not in answer.headers:
            answer.headers[name] = value
    return answer


def _accepts_gzip(request: Request) -> bool:
    """Return whether the client reads gzip: it names it, and not with a weight of zero."""
    for header in request.headers.get_all("Accept-Encoding"):
        for part in header.split(","):
            coding, _, weight = part.replace(" ", "").lower().partition(";q=")
            if coding == "gzip":
                return weight.strip("0.") != "" or weight == ""
    return False
