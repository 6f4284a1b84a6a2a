"""Tests of what clients can have done."""
