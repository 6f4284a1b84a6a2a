"""Tests of sensord.player."""
