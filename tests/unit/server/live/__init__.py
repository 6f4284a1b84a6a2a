"""Tests of sensord.server.live."""
