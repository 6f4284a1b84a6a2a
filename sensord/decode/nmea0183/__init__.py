"""Decode NMEA 0183: the sentences of receivers, sounders, compasses and wind vanes.

Read `decoder` for how a sentence is found and trusted, `sentences` for what each one holds,
`quantities` for the fields they share and their units.
"""

from sensord.decode.nmea0183.decoder import Config, Decoder

__all__ = ["Config", "Decoder"]
