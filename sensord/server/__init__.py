"""The server: connections, sessions, groups and flow control."""
