"""Who is connected and what clients share: identity, presence, messages, state, audit."""
