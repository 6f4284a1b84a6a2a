"""Raw captures: what a device sent, with when it came, stored and decoded again.

Owns the file of a capture and the way from it back through the live intake, on a virtual clock.
Must never know the server or a monitor.
"""

from sensord.capture.arrivals import Arrival, Event, Message, Piece, Values
from sensord.capture.file import CaptureFile, is_capture
from sensord.capture.opening import open_any
from sensord.capture.output import CaptureOutput
from sensord.capture.recording import Capture

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
