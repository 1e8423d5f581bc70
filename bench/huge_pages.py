"""Huge pages for the benchmark's PostgreSQL: a server in production has them, most machines to develop on reserve none.

Without them every page of the shared buffers has an entry of its own in the page table of every session, and whoever
looks at a page for the first time waits for that entry to be made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

RESERVED = Path("/proc/sys/vm/nr_hugepages")  # how many the kernel keeps; root may write it
BYTES = 2 << 20  # of one: PostgreSQL counts in the kernel's default size, which this is on x86-64


@contextmanager
def reserved(pages: int) -> Iterator[bool]:
    """Have the kernel keep so many pages more while this lasts; whether it does.

    Who takes some meanwhile has them until it ends. They are not asked for where they would be half of the free memory.
    """
    before = _reserve(pages) if pages * BYTES * 2 <= psutil.virtual_memory().available else None
    if before is None:
        yield False
        return
    try:
        yield int(RESERVED.read_text()) >= before + pages
    finally:
        RESERVED.write_text(f"{before}\n")


def _reserve(pages: int) -> int | None:
    """How many were kept before; None where this process may not say, or the system knows of none."""
    try:
        before = int(RESERVED.read_text())
        RESERVED.write_text(f"{before + pages}\n")
    except OSError:
        return None
    return before
