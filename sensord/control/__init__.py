"""Acting on devices and services: what can be called, commands, and leases."""
