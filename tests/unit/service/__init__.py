"""Tests of sensord.service."""
