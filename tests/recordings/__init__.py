"""What devices said, captured by `sensord capture`, with the readings that it makes."""
