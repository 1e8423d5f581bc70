"""What kind of process this is."""

from __future__ import annotations

_has_threads = True


def has_threads() -> bool:
    """Whether threads run between requests; those of a Lambda function are frozen."""
    return _has_threads


def freeze_threads(frozen: bool = True) -> None:
    """Say that this process is a Lambda function's (or, in tests, that it is none)."""
    global _has_threads
    _has_threads = not frozen
