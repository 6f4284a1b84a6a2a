"""Tests of sensord.playback."""
