"""Tests of plain HTTP."""
