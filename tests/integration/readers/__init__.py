"""Tests of the readers with real bytes."""
