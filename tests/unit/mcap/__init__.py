"""Tests of sensord.mcap."""
