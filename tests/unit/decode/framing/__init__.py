"""Where a message begins and ends, for every framing."""
