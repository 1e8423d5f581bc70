"""What came of an address's stamps where nothing but its score was left to write: it need not be worked out again.

Every readable stamp counts, its nullifiers are the address's own, and the copies are as they should be. That holds
while none of the rows and none of the rules change (a token tells, see ``db/functions.py``), and no expiry passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from .credentials import Stamp, Valid, read_expiry
from .score import earliest_expiry, shown


class Mark(NamedTuple):
    """What a counting stamp may earn human points for."""

    provider: str
    subject_provider: str
    last_nullifier: str


class Settled(NamedTuple):
    """``counting``: provider and expiry as shown, in row order. ``marks``: None where nobody asked for points.

    It holds from ``since`` until ``expires_at``, the earliest expiry of a counting stamp; None: for ever.
    ``stamp_count``: how many live stamps there are.
    """

    stamp_count: int
    since: datetime | None
    expires_at: datetime | None
    counting: Sequence[tuple[str, str]]
    marks: Sequence[Mark] | None

    def holds_at(self, now: datetime) -> bool:
        return (self.since is None or self.since <= now) and (self.expires_at is None or now < self.expires_at)


def settle(stamps: Sequence[Stamp], counting: Sequence[Valid], *, now: datetime, with_marks: bool) -> Settled:
    """What came of ``stamps``, of which ``counting`` count and no other one could: expired, or never."""
    keys = {stamp.key for stamp in counting}
    return Settled(
        len(stamps),
        max(_expiries_before(now, (stamp for stamp in stamps if stamp.key not in keys)), default=None),
        earliest_expiry(counting),
        shown(counting),
        [Mark(stamp.provider, stamp.subject_provider, stamp.last_nullifier) for stamp in counting]
        if with_marks
        else None,
    )


def _expiries_before(now: datetime, stamps: Iterable[Stamp]) -> Iterable[datetime]:
    """When those that are out became so; others are out whatever the time is."""
    for stamp in stamps:
        try:
            expires_at = read_expiry(stamp.expiration_date)
        except ValueError:
            continue
        if expires_at <= now:
            yield expires_at
