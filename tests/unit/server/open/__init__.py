"""Tests of sensord.server.open."""
