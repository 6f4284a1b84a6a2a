"""The player: hands on what was recorded, at the pace at which it was recorded or at another.

Owns when each reading is due and at which times it is told. Must never know who receives it: the
command `sensord replay` publishes on a bus, a device with the reader `replay` takes samples.
"""

from sensord.playback.clock import PlayedClock
from sensord.playback.player import MAX, Options, Player, Progress, State

__all__ = ["MAX", "Options", "PlayedClock", "Player", "Progress", "State"]
