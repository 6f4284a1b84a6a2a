"""What clients share."""
