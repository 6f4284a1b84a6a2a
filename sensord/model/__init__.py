"""What readings are: values, topics, times. Everything else may import it; it imports nothing."""
