"""Tests with real sockets, ports, brokers and browsers."""
