"""What the tests share: devices, brokers and links that are easy to watch."""
