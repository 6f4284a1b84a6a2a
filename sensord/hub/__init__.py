"""The hub: serves gateways' logs from JetStream, each under its gateway's name."""
