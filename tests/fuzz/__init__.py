"""Fuzzing: input that nobody would write, by the million."""
