"""The log: one order of all readings; everybody who receives readings is a cursor on it."""

from sensord.log.archive import Archive
from sensord.log.cursor import Cursor, Missed, Piece
from sensord.log.memory import Log, Lost

__all__ = ["Archive", "Cursor", "Log", "Lost", "Missed", "Piece"]
