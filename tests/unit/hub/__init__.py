"""Tests of sensord.hub."""
