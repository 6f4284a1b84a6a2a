"""The log: one order of all readings; everybody who receives readings is a cursor on it."""

from sensord.log.memory import Log, Lost

__all__ = ["Log", "Lost"]
