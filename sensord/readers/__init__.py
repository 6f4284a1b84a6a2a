"""Readers: each holds one connection to a device and hands on what comes, until it fails."""
