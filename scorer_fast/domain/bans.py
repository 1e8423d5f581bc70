"""Which ban holds for a credential."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

ACCOUNT, HASH, SINGLE_STAMP = "account", "hash", "single_stamp"


class Ban(NamedTuple):
    """A ban that still runs; an empty hash or address matches nothing."""

    type: str
    provider: str
    hash: str
    address: str
    end_time: datetime | None
    reason: str | None


def first_ban(bans: Iterable[Ban], *, address: str, hash: str | None, provider: str | None) -> Ban | None:
    """The first of ``bans`` (by id) that fits a credential; ``address`` lower-cased."""
    for ban in bans:
        if ban.type == HASH:
            fits = bool(hash) and ban.hash == hash
        else:
            fits = bool(address) and ban.address.lower() == address
            if ban.type == ACCOUNT:
                fits = fits and not ban.provider
            else:
                fits = fits and ban.type == SINGLE_STAMP and ban.provider == provider
        if fits:
            return ban
    return None
