"""Benchmarks: each module is one command, as in ``python -m bench.fanout``."""
