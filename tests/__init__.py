"""The tests of sensord."""
