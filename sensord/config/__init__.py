"""The configuration: one typed tree from TOML, all its faults reported together."""
