"""Tests of sensord.device."""
