"""Raw captures: what a device sent, with when it came, stored and decoded again.

Owns the file of a capture and the way from it back through the live intake, on a virtual clock.
Must never know the server or a monitor.
"""

from sensord.recordings.capture.arrivals import Arrival, Event, Message, Piece, Values
from sensord.recordings.capture.decoded import Capture
from sensord.recordings.capture.file import CaptureFile, is_capture
from sensord.recordings.capture.opening import open_any
from sensord.recordings.capture.output import CaptureOutput

__all__ = [
    "Arrival",
    "Capture",
    "CaptureFile",
    "CaptureOutput",
    "Event",
    "Message",
    "Piece",
    "Values",
    "is_capture",
    "open_any",
]
