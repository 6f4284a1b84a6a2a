"""Tests of sensord.capture."""
