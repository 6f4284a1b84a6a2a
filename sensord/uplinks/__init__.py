"""Uplinks: saved cursors on the log that deliver its readings to other systems."""
