"""Tests of sensord.server.past."""
