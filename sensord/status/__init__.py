"""What the daemon reports of itself under ``$sys``."""
