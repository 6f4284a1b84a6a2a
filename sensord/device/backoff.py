"""How long to wait before trying a device again. Pure: chance and times are arguments.

The wait doubles from one failure to the next up to a cap, and half of it is random, so that a
hundred gateways do not reconnect to a restarted broker in the same instant. A run that stayed up
for a while starts from the beginning again; one that fell at once does not, or a broker that
accepts and drops would be called without end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LOCAL", "REMOTE", "Backoff", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient to be with one kind of device.

    ``steady_s`` is how long a run must have been up to count as a success.
    """

    first_s: float = 1.0
    cap_s: float = 30.0
    steady_s: float = 10.0


REMOTE = Limits()
"""For what others serve as well: a long cap spares a broker that is coming back."""

LOCAL = Limits(cap_s=5.0)
"""For ports of this machine: looking again costs one system call, and somebody may have just
plugged the device in and be waiting for the first value."""


class Backoff:
    """Count failures and return how long to wait after each.

    ``chance`` returns a number from 0 up to 1, such as `random.random`.
    """

    __slots__ = ("_chance", "_failures", "_limits")

    def __init__(self, limits: Limits, chance: Callable[[], float]) -> None:
        self._limits = limits
        self._chance = chance
        self._failures = 0

    def after(self, up_s: float) -> float:
        """Return how many seconds to wait after a run that was up for ``up_s`` (0: never).

        The answer lies between half of the current step and all of it; the step goes from
        ``first_s`` to ``cap_s``, so no answer is below ``first_s / 2``.
        """
        limits = self._limits
        if up_s >= limits.steady_s:
            self._failures = 0
        # The exponent is bounded: after a week of failures 2.0 ** n would overflow.
        step = min(limits.cap_s, limits.first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return step * (1 + self._chance()) / 2
