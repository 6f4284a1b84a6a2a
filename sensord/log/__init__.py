"""The log: one order of all readings; every receiver of readings is a cursor on it."""

from sensord.log.archive import Archive, JournalArchive
from sensord.log.cursor import Cursor, Piece
from sensord.log.gap import Gap
from sensord.log.memory import Log

__all__ = ["Archive", "Cursor", "Gap", "JournalArchive", "Log", "Piece"]
