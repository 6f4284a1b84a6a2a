"""Framers and decoders."""
