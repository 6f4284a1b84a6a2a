"""Open whatever holds readings, captures too."""

from __future__ import annotations

from pathlib import Path

from sensord.config.tree import Device
from sensord.recordings import AS_IT_IS, Recording, TextForm, open_recording
from sensord.recordings.capture.decoded import Capture
from sensord.recordings.capture.file import is_capture

__all__ = ["open_any"]


def open_any(path: Path, device: Device | None = None, form: TextForm = AS_IT_IS) -> Recording:
    """Open a recording; a capture is decoded as ``device`` says, else as it says itself.

    Raises:
        RecordingError, JournalError: It cannot be read.
    """
    return Capture(path, device) if is_capture(path) else open_recording(path, form)
