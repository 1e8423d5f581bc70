"""The one read that scoring needs, and the digest of what didkit is given: computed here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from ..db.connection import Meanwhile, bigint_array, fetch_one, fetch_value, text_array
from ..domain.credentials import Stamp
from ..domain.dedup import Link
from ..domain.points import PointsRead
from ..domain.settled import Settled
from .communities import CommunityKey
from .kept import read_settled
from .points import read_points


class StoredStamp(NamedTuple):
    """A registry_stamp row; ``same_as`` is the key of the stamp it already equals, or None."""

    id: int
    version: str
    same_as: int | None


class Seen(NamedTuple):
    """The token of what was read: which stamps are live, the newest of their updates, when the score was last written.

    Stamps that the request itself replaces are no part of it. All of it stays as PostgreSQL wrote it: nobody looks into
    it on its way back.
    """

    live_ids: str
    newest_update: str | None
    last_score_timestamp: str | None


class ScoringRow(NamedTuple):
    """All that is known of an address in a community before it is scored.

    Ids are None where the row does not exist yet; ``points`` is None outside the points program.
    ``is_replacing``: whether the address has live stamps of the providers that the request replaces.
    ``listed``: the live stamps that are not replaced, as the answers list them, by id: JSON text; None where they all
    are among ``stamps``, each with its text.
    ``known``: how many of the stamps were known from an earlier request, by the versions of the rows; ``is_kept``:
    whether they all were, and all of ``stored_stamps``.
    ``settled``: what came of the stored stamps earlier and still holds. Without ``is_in_full`` that is all there is of
    them: ``stamps`` are the posted ones, ``links`` theirs, and ``stored_stamps`` are none. ``token`` (hex): what a
    settled reading is kept by, None where it cannot be; ``generation``: that of the signatures that are remembered
    (``scoring/kept.py``).
    """

    community_id: int
    weights: str | None
    threshold: Decimal
    overrides: tuple[tuple[str, str], ...]
    passport_id: int | None
    score_id: int | None
    seen: Seen
    is_replacing: bool
    stamps: tuple[Stamp, ...]
    links: dict[str, Link]
    stored_stamps: tuple[StoredStamp, ...]
    points: PointsRead | None
    is_kept: bool
    known: int = 0
    listed: str | None = None
    settled: Settled | None = None
    is_in_full: bool = True
    token: str | None = None
    generation: str = ""

    @property
    def stamp_count(self) -> int:
        """How many live stamps there are, posted ones among them."""
        return len(self.stamps) + (0 if self.is_in_full or self.settled is None else self.settled.stamp_count)

    def needs_full(self, address: str) -> bool:
        """Whether a posted stamp names a nullifier that the address holds, perhaps by one of the settled stamps."""
        return not self.is_in_full and any(link.address == address for link in self.links.values())


READ_SCORING = """
-- what scoring an address for a community needs, posted stamps taken in as if they were stored; see db/functions.py
SELECT f.community_id, f.weights, f.threshold, f.passport_id, f.score_id, f.last_score_timestamp::text,
       f.live_ids::text, f.newest_update::text, f.is_replacing, f.links, f.overrides, f.points,
       f.stamps, f.compared_stamps, array_to_json(f.kept_ids)::text, f.kept_stamps, f.stored_stamps, f.is_kept,
       f.texts, f.generation, f.settled, f.token,
       CASE WHEN %(listed)s AND f.kept_ids <> '{}' THEN scorer_fast_list_1(f.live_ids) END
FROM scorer_fast_read_scoring_1(
    %(scorer_id)s::bigint, %(external_id)s::text, %(account_id)s::bigint, %(address)s::text,
    %(verifier)s::text, %(rules)s::text, %(now)s::timestamptz, %(in_full)s::boolean,
    %(points)s::boolean, %(reverify)s::boolean, %(listed)s::boolean,
    %(posted)s::jsonb, %(replaced)s::text[]
) AS f
WHERE f.community_id IS NOT NULL
"""


class Posted(NamedTuple):
    """Stamps of a payload: what replaces what. ``entries`` is a JSON array of {provider, stamp}."""

    entries: str
    replaced: Sequence[str]


NOTHING_POSTED = Posted("[]", ())


def read_scoring(
    alias: str,
    community: CommunityKey,
    address: str,
    *,
    verifier: str,
    rules: str | None,
    now: datetime,
    points: bool,
    in_full: bool = False,
    reverify: bool = False,
    listed: bool = False,
    posted: Posted = NOTHING_POSTED,
    meanwhile: Meanwhile[Any] | None = None,
) -> ScoringRow | None:
    """What scoring ``address`` needs; None when there is no such community.

    ``rules``: those of settling; with them what is settled at ``now`` comes instead of stored stamps and their links,
    or ``in_full`` beside them. None where nothing may be taken as settled.
    ``reverify``: every stamp with its credential's text, else only posted ones and those whose signature is unknown.
    ``listed``: with the live stamps as the answers list them.
    """
    read = fetch_one(
        alias,
        READ_SCORING,
        community.parameters()
        | {
            "address": address,
            "verifier": verifier,
            "rules": rules,
            "now": now,
            "in_full": in_full,
            "points": points,
            "reverify": reverify,
            "listed": listed,
            "posted": posted.entries,
            "replaced": text_array(posted.replaced),
        },
        meanwhile,
        repeatable=True,
    )
    return None if read is None else _Read._make(read).scoring_row(in_full=in_full)


class _Read(NamedTuple):
    """READ_SCORING's row; texts are JSON, ``texts`` a line of it for each of ``stamps``, empty where it is unwanted."""

    community_id: int
    weights: str | None
    threshold: Decimal
    passport_id: int | None
    score_id: int | None
    last_score_timestamp: str | None
    live_ids: str
    newest_update: str | None
    is_replacing: bool
    links: str | None
    overrides: str | None
    points: str | None
    stamps: str | None
    compared_stamps: str | None
    kept_ids: str
    kept_stamps: str | None
    stored_stamps: str | None
    is_kept: bool
    texts: str | None
    generation: str
    settled: str | None
    token: str | None
    listed: str | None

    def scoring_row(self, *, in_full: bool) -> ScoringRow:
        settled = None if self.settled is None else read_settled(self.settled)
        kept_ids = set(orjson.loads(self.kept_ids))
        stamps = [
            Stamp._make((*fields[:5], text or None, *fields[6:]))
            for fields, text in zip(_json(self.stamps), _lines(self.texts), strict=True)
        ]
        stamps += [stamp for stamp in map(Stamp._make, _json(self.kept_stamps)) if stamp.key in kept_ids]
        links = ((hash_, owner, datetime.fromisoformat(until)) for hash_, owner, until in _json(self.links))
        return ScoringRow(
            community_id=self.community_id,
            weights=self.weights,
            threshold=self.threshold,
            overrides=tuple((name, weight) for name, weight in _json(self.overrides)),
            passport_id=self.passport_id,
            score_id=self.score_id,
            seen=Seen(self.live_ids, self.newest_update, self.last_score_timestamp),
            is_replacing=self.is_replacing,
            stamps=tuple(stamps),
            links={link[0]: Link._make(link) for link in links},
            stored_stamps=tuple(map(StoredStamp._make, [*_json(self.stored_stamps), *_json(self.compared_stamps)])),
            points=read_points(self.points),
            is_kept=self.is_kept,
            known=len(kept_ids),
            listed=self.listed,
            settled=settled,
            is_in_full=in_full or settled is None,
            token=self.token,
            generation=self.generation,
        )


def _json(text: str | None) -> Any:
    if text is None:
        return ()
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # a number beyond a double: one field of one stamp, not the whole score
        return json.loads(text, parse_int=_number)


def _lines(text: str | None) -> list[str]:
    return [] if text is None else text.split("\n")


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)


class ScoringWrite(NamedTuple):
    """A plan as WRITE_SCORING takes it; JSON as text, keys of posted stamps negative, -1 for the first.

    ``posted``: [{provider, stamp, proof_value, issuance_date, expiration_date}]; ``new_links``: [[nullifier, address,
    expiry]]; ``changed_links``: [[nullifier, address as read, expiry as read, expiry]]; ``awards``: {seen_rows,
    seen_communities, qualifies, metamask_limit, rows: [[action, provider, tx_hash, chain_id]]} or None.
    ``verified``: signatures to remember; ``kept``, ``kept_stamps`` and ``settled``: what is kept of the reading, or
    None; all of it see scoring/kept.py.
    """

    passport_id: int | None
    score_id: int | None
    community_id: int
    address: str
    now: datetime
    replaced: Sequence[str]
    posted: str
    source_app: int | None
    source_scorer_id: int | None
    new_links: str
    changed_links: str
    gone: Sequence[int]
    counting: Sequence[int]
    awards: str | None
    score: int
    expiration_date: datetime | None
    dedup_events: str
    score_event: str
    verified: str = "[]"
    kept: str | None = None
    kept_stamps: str | None = None
    settled: str | None = None


WRITE_SCORING = """
-- writes a scoring with everything that changes by it; see db/functions.py
SELECT scorer_fast_write_scoring_1(
    %(passport_id)s::bigint, %(score_id)s::bigint, %(community_id)s::bigint, %(address)s::text, %(now)s::timestamptz,
    %(replaced)s::text[], %(posted)s::jsonb, %(source_app)s::integer, %(source_scorer_id)s::bigint,
    %(new_links)s::jsonb, %(changed_links)s::jsonb, %(gone)s::bigint[], %(counting)s::bigint[], %(awards)s::jsonb,
    %(score)s::integer, %(expiration_date)s::timestamptz, %(dedup_events)s::jsonb, %(score_event)s::jsonb,
    %(live_ids)s::bigint[], %(newest_update)s::timestamptz, %(seen_timestamp)s::timestamptz,
    %(verified)s::jsonb, %(kept)s::jsonb, %(kept_stamps)s::text, %(settled)s::jsonb)
"""

NO_LONGER_SO, CLAIM_LOST = "SF001", "SF002"  # SQLSTATEs of scorer_fast_write_scoring


class Written(NamedTuple):
    """The ids of rows that a scoring made, posted stamps in their order; ``not_remembered``: None, or the SQLSTATE for
    which signatures were not remembered with it, or the reading not kept.
    """

    passport_id: int
    ids: Sequence[int]
    not_remembered: str | None = None


def write_scoring(alias: str, write: ScoringWrite, seen: Seen, meanwhile: Meanwhile[Any] | None = None) -> Written:
    """Write all of it while what was read is still so.

    Else a database error of state NO_LONGER_SO or CLAIM_LOST, and nothing is written.
    """
    text = fetch_value(
        alias,
        WRITE_SCORING,
        write._asdict()
        | {
            "replaced": text_array(write.replaced),
            "gone": bigint_array(write.gone),
            "counting": bigint_array(write.counting),
            "live_ids": seen.live_ids,
            "newest_update": seen.newest_update,
            "seen_timestamp": seen.last_score_timestamp,
        },
        meanwhile,
    )
    return Written._make(orjson.loads(text))
