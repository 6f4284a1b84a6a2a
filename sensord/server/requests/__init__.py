"""What is done for each request: one module a family, as in `sensord.wire.ops`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensord.server.open.caller import Caller
from sensord.server.requests import (
    control,
    forget,
    messages,
    queries,
    replay,
    services,
    sniff,
    state,
    subscriptions,
)
from sensord.wire.ops import Request, Result

__all__ = ["HANDLERS"]

HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    **subscriptions.HANDLERS,
    **queries.HANDLERS,
    **replay.HANDLERS,
    **state.HANDLERS,
    **control.HANDLERS,
    **messages.HANDLERS,
    **services.HANDLERS,
    **sniff.HANDLERS,
    **forget.HANDLERS,
}
"""By the request's type. A handler answers the caller, or raises `ProtocolError`."""
