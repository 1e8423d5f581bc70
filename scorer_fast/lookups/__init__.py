"""The operations that only read."""
