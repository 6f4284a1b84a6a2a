"""The wire: messages and frames of `docs/protocol.md`, pure."""
