"""The server, without sockets."""
