"""Trials: bytes through the decoder and the intake of a device, without its port."""
