"""Decoders: pure; bytes in, samples out. Any cut of the stream gives the same samples."""
