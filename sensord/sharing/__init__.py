"""What clients share: identity, presence, messages, state, publications and the audit."""
