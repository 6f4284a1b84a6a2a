"""The exit statuses of all commands, and the one that an error leads to."""

from __future__ import annotations

from sensord.errors import ProtocolError, SensordError, UsageError

__all__ = ["NOT_FOUND", "NO_DAEMON", "REFUSED", "STATUS_HELP", "NotFoundError", "RefusedError"]
__all__ += ["code_of", "status_of"]

FAILED, WRONG_USAGE, NOT_FOUND, REFUSED, NO_DAEMON = 1, 2, 3, 4, 5

STATUS_HELP = "exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused, 5 no daemon\n"

ABNORMAL = 1006
"""The close code of an error that no server has sent."""

_REFUSING = range(4200, 4300)
"""Close codes of a server that does not want this client: `docs/protocol.md`, section 9."""


class NotFoundError(SensordError):
    """What was named does not exist."""


class RefusedError(SensordError):
    """What was asked for was refused by those who had to do it."""


def code_of(error: BaseException) -> str:
    """Return the code or the reason that the daemon gave for an error, or nothing."""
    while True:
        if isinstance(error, ProtocolError):
            return error.code
        reason = getattr(error, "reason", None)
        if isinstance(reason, str):
            return reason
        if error.__cause__ is None:
            return ""
        error = error.__cause__


def status_of(error: SensordError) -> int:
    """Return the exit status for an error."""
    # Imported here: `sensord --help` needs no client.
    from sensord.client.control import CommandError  # noqa: PLC0415
    from sensord.client.errors import ClientError, LostError  # noqa: PLC0415

    if isinstance(error, UsageError):
        return WRONG_USAGE
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, RefusedError):
        return REFUSED
    if isinstance(error, ClientError):
        if isinstance(error.__cause__, ValueError) and not isinstance(error.__cause__, OSError):
            return WRONG_USAGE  # what was named is not an address
        if error.code in _REFUSING:
            return REFUSED
        is_here = error.__cause__ is None and not isinstance(error, LostError)
        return FAILED if is_here and error.code == ABNORMAL else NO_DAEMON
    code = code_of(error)
    if isinstance(error, CommandError):
        return NOT_FOUND if code == "not_found" else FAILED if error.may_have_acted else REFUSED
    if isinstance(error, ProtocolError) or isinstance(error.__cause__, ProtocolError):
        return NOT_FOUND if code == "not_found" else REFUSED
    return FAILED
