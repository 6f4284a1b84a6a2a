"""The player: passes on recorded readings, at the recorded pace or another.

Owns when each reading is due and with which times it is passed on. Must never know its receivers:
the command `sensord replay` publishes on a bus, a device with the reader `replay` sends samples.
"""

from sensord.playback.clock import PlayedClock
from sensord.playback.player import MAX, Options, Player, Progress, State

__all__ = ["MAX", "Options", "PlayedClock", "Player", "Progress", "State"]
