"""Recordings: journals and MCAP files as a whole, read, described and exported.

Owns readings outside the daemon: files of sensord's or others' making, and the texts and tables
that readings become. Must never know the bus, a device or a monitor.
"""

from sensord.recordings.contents import (
    EVERYTHING,
    Contents,
    Recording,
    RecordingError,
    Selection,
    Span,
    Topic,
    damaged_of,
)
from sensord.recordings.foreign_file import lacking_of
from sensord.recordings.opening import AS_IT_IS, in_order, open_recording, scan_all
from sensord.recordings.text_form import TextForm

__all__ = [
    "AS_IT_IS",
    "EVERYTHING",
    "Contents",
    "Recording",
    "RecordingError",
    "Selection",
    "Span",
    "TextForm",
    "Topic",
    "damaged_of",
    "in_order",
    "lacking_of",
    "open_recording",
    "scan_all",
]
