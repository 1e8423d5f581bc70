"""Flags, circuits and threads are a process's own: no test leaves any to the next."""

from tests.cutover.conftest import fresh_process

__all__ = ["fresh_process"]
