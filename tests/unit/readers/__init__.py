"""Tests of the readers without I/O."""
