"""Faults done to real servers, for minutes: what `make test` has no time for. Last results: docs/resilience.md."""
