"""Live readings: groups of subscriptions at the tail of the log."""
