"""A load test for a server of one's own: ``make load TARGET=http://127.0.0.1:8000``."""
