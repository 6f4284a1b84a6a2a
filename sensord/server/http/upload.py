"""A request with a body: its head, then the body by length or in chunks. Pure.

The WebSocket library refuses bodies, so requests with the method POST are read here instead.
Framing is strict: a request whose end two readers could see in different places is refused.
"""

from __future__ import annotations

import re

from websockets.datastructures import Headers
from websockets.http11 import Request

__all__ = ["BODY_BYTES", "Upload", "UploadError"]

BODY_BYTES = 256 * 1024
"""The largest body: some thousand readings."""

HEAD_BYTES = 16 * 1024
LINES = 128
CHUNK_LINE_BYTES = 256
"""Of a chunk's size with its extensions."""

_LINE = re.compile(rb"([A-Z]+) ([!-~]+) (HTTP/1\.[01])")
_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_VALUE = re.compile(rb"[\x09\x20-\x7e\x80-\xff]*")
_DIGITS = re.compile("[0-9]{1,18}")
_HEX = re.compile(rb"[0-9a-fA-F]{1,8}")


class UploadError(Exception):
    """The request cannot be read; ``status`` and the text are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Upload:
    """Reads one request, however its bytes are cut."""

    def __init__(self, most_bytes: int = BODY_BYTES) -> None:
        self.request: Request | None = None
        """The head, once it has come."""
        self.expects_continue = False
        """Whether the client waits for a go-ahead before it sends the body."""
        self.body = bytearray()
        self.is_complete = False
        self._most = most_bytes
        self._unread = bytearray()
        self._left: int | None = None
        """Bytes of the body, or of the present chunk; None between chunks."""
        self._is_chunked = False
        self._is_last = False  # chunk; trailers follow

    @property
    def has_body(self) -> bool:
        """Whether the head announces one."""
        return self._is_chunked or bool(self._left or self.body)

    def feed(self, data: bytes) -> None:
        """Read the next bytes up to the end of the head, or of the body; ignore what follows that.

        Raises:
            UploadError: It is no request, or too large.
        """
        if self.is_complete:
            return
        self._unread += data
        if self.request is None:
            self._read_head()
        elif self._is_chunked:
            self._read_chunks()
        else:
            self._read_part()
            self.is_complete = not self._left

    def _read_head(self) -> None:
        end = self._unread.find(b"\r\n\r\n")
        if end < 0:
            if len(self._unread) > HEAD_BYTES:
                raise UploadError(431, "Send a shorter head.")
            return
        head = bytes(self._unread[:end])
        del self._unread[: end + 4]
        self.request = request = _request(head)
        self._frame(request.headers)
        self.expects_continue = request.headers.get("Expect", "").lower() == "100-continue"

    def _frame(self, headers: Headers) -> None:
        """Find out where the body ends."""
        lengths, codings = headers.get_all("Content-Length"), headers.get_all("Transfer-Encoding")
        if codings:
            if lengths or [one.lower() for one in codings] != ["chunked"]:
                raise UploadError(400, "Send either Content-Length or one chunked coding.")
            self._is_chunked = True
            return
        if len(set(lengths)) > 1 or not all(map(_DIGITS.fullmatch, lengths)):
            raise UploadError(400, "Send one Content-Length.")
        self._left = int(lengths[0]) if lengths else 0
        self._check(self._left)

    def _check(self, size: int) -> None:
        if len(self.body) + size > self._most:
            raise UploadError(413, f"Send at most {self._most} bytes at a time.")

    def _read_part(self) -> None:
        assert self._left is not None
        part = self._unread[: self._left]
        del self._unread[: len(part)]
        self.body += part
        self._left -= len(part)

    def _read_chunks(self) -> None:
        while not self.is_complete:
            if self._left:
                self._read_part()
                if self._left:
                    return
            if self._left == 0:
                if len(self._unread) < 2:  # noqa: PLR2004  # an end of line
                    return
                if self._unread[:2] != b"\r\n":
                    raise UploadError(400, "A chunk is longer than its size.")
                del self._unread[:2]
                self._left = None
            end = self._unread.find(b"\r\n")
            if end > CHUNK_LINE_BYTES or (end < 0 and len(self._unread) > CHUNK_LINE_BYTES):
                raise UploadError(400, "Send shorter lines between chunks.")
            if end < 0:
                return
            line = bytes(self._unread[:end])
            del self._unread[: end + 2]
            if self._is_last:
                self.is_complete = not line
            else:
                self._begin_chunk(line)

    def _begin_chunk(self, line: bytes) -> None:
        size = line.partition(b";")[0].strip(b" \t")
        if not _HEX.fullmatch(size):
            raise UploadError(400, "A chunk begins with its size.")
        length = int(size, 16)
        self._check(length)
        if length:
            self._left = length
        else:
            self._is_last = True


def _request(head: bytes) -> Request:
    first, *lines = head.split(b"\r\n")
    found = _LINE.fullmatch(first)
    if found is None or len(lines) > LINES:
        raise UploadError(400, "This is no HTTP request.")
    method, path, version = (one.decode("ascii") for one in found.groups())
    headers = Headers()
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UploadError(400, "This is no HTTP request.")
        headers[name.decode("ascii")] = value.decode("latin-1")
    return Request(path, headers, method, version)
