"""sensord: the daemon between ugly sensors and the people who need their readings."""

__version__ = "0.1.0"
