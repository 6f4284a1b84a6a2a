"""Open any file with readings, captures too."""

from __future__ import annotations

from pathlib import Path

from sensord.config.tree import Device
from sensord.recordings import AS_IT_IS, Recording, TextForm, open_recording
from sensord.recordings.capture.decoded import Capture
from sensord.recordings.capture.file import is_capture
from sensord.recordings.capture.log_file import LogFile, is_log

__all__ = ["open_any"]


def open_any(path: Path, device: Device | None = None, form: TextForm = AS_IT_IS) -> Recording:
    """Open a recording; a capture is decoded by ``device``, else by its own configuration.

    With a device any other text is a log of its lines; without, only a text of a known form.

    Raises:
        RecordingError, JournalError: It cannot be read.
    """
    if is_capture(path):
        return Capture(path, device)
    if is_log(path, device):
        return Capture(path, device, LogFile(path, device, form))
    return open_recording(path, form)
