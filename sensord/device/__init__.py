"""From a connection's bytes to readings on the bus: supervisor, intake, policy, commands."""
