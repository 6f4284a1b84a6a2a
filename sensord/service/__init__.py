"""The service on this machine: its unit, its user and its first configuration."""
