"""Tests of sensord.status."""
