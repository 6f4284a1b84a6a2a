"""Families of devices that people have: what each sends, its configuration, what must come out."""
