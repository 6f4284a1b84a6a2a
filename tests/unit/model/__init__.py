"""Tests of sensord.model."""
