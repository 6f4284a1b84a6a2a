"""Past readings: histories, summaries and replays on a session's request."""
