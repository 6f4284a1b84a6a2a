"""Tests of sensord.recordings.capture."""
