"""The profiles that are shipped, and how they are read."""
