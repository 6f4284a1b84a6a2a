"""Tests of sensord.host."""
