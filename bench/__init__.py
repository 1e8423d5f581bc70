"""The benchmark: ``make bench``, or ``python -m bench``. docs/benchmarks.md says what it measures and how."""
