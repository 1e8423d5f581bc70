"""LIFO deduplication. Invariant: one nullifier of one community has one owner; nothing here gives it a second.

All stamps are judged against the links as they were read; a counting claim beats a backfill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from .credentials import Valid, effective_nullifiers


class Link(NamedTuple):
    """Who holds a nullifier in a community, and until when."""

    hash: str
    address: str
    expires_at: datetime


class NewLink(NamedTuple):
    """A link to create: a claim of the scored address, or a backfill for a link's owner."""

    hash: str
    address: str
    expires_at: datetime


class ChangedLink(NamedTuple):
    """A link to set to the scored address and a new expiry; it still has to look as it was read."""

    hash: str
    seen_address: str
    seen_expires_at: datetime
    expires_at: datetime


class Clash(NamedTuple):
    """A valid stamp that does not count, with the nullifiers its event names."""

    stamp: Valid
    nullifiers: tuple[str, ...]


class Deduplicated(NamedTuple):
    """Stamps in row order; links sorted by nullifier, so that two requests claim in one order."""

    counting: tuple[Valid, ...]
    clashes: tuple[Clash, ...]
    new_links: tuple[NewLink, ...]
    changed_links: tuple[ChangedLink, ...]


def deduplicate(
    stamps: Iterable[Valid], links: Mapping[str, Link], *, address: str, now: datetime, multi: bool
) -> Deduplicated:
    """Which stamps count, and what becomes of the links. ``links`` by nullifier, of one community."""
    counting: list[Valid] = []
    clashes: list[Clash] = []
    claims: dict[str, datetime] = {}
    backfills: dict[str, NewLink] = {}
    for stamp in stamps:
        nullifiers = effective_nullifiers(stamp.nullifiers, multi=multi)
        clash = _first_clash(nullifiers, links, address, now)
        if clash is None:
            counting.append(stamp)
            expires_at = stamp.expires_at
            for nullifier in nullifiers:
                if nullifier not in claims or claims[nullifier] < expires_at:
                    claims[nullifier] = expires_at
        else:
            clashes.append(Clash(stamp, nullifiers))
            for nullifier in nullifiers:
                if nullifier not in links:
                    backfills.setdefault(nullifier, NewLink(nullifier, clash.address, clash.expires_at))
    new_links = [NewLink(n, address, expires_at) for n, expires_at in claims.items() if n not in links]
    new_links += [backfill for n, backfill in backfills.items() if n not in claims]
    changed_links = [
        ChangedLink(nullifier, link.address, link.expires_at, expires_at)
        for nullifier, expires_at in claims.items()
        if (link := links.get(nullifier)) is not None and (link.address, link.expires_at) != (address, expires_at)
    ]
    return Deduplicated(tuple(counting), tuple(clashes), tuple(sorted(new_links)), tuple(sorted(changed_links)))


def _first_clash(nullifiers: tuple[str, ...], links: Mapping[str, Link], address: str, now: datetime) -> Link | None:
    for nullifier in nullifiers:
        link = links.get(nullifier)
        if link is not None and link.address != address and link.expires_at > now:
            return link
    return None
