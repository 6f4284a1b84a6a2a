"""Uplinks: what is pending, and how readings are written for other systems."""
