"""Tests of sensord.app."""
