"""What a session may do: the one place that is asked, before anything else looks at a request.

Nothing is refused until clients can prove who they are; then the answer changes here alone.
"""

from __future__ import annotations

from sensord.sharing.identity import Identity
from sensord.wire.ops import Action

__all__ = ["Permissions"]


class Permissions:
    """Says what each client may do."""

    def rights(self, client: Identity) -> tuple[str, ...]:
        """Return what ``client`` may do, for others to see."""
        del client
        return tuple(action.value for action in Action if action is not Action.NONE)

    def refusal(self, client: Identity, action: Action, subject: str) -> str | None:
        """Return why ``client`` may not do this to a filter, topic or name; None if it may."""
        del client, action, subject
        return None
