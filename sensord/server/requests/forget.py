"""The request ``forget``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sensord.server.open.caller import Caller
from sensord.wire.ops import Request, Result
from sensord.wire.ops.forget import Forget, Forgotten

__all__ = ["HANDLERS"]


def forget(caller: Caller, request: Forget) -> None:
    """Forget topics, all of them or none."""
    forgetting = caller.shared.control.forgetting
    caller.send(Forgotten(request.id, forgetting.forget(request.topics, caller.identity)))


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {Forget: forget}
