"""The one read that scoring needs, and the digest of what didkit is given: computed here and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from ..domain.credentials import Stamp
from ..domain.dedup import Link
from ..domain.points import PointsRead
from .communities import CommunityKey
from .connection import fetch_one
from .points import read_points


class StoredStamp(NamedTuple):
    """A registry_stamp row; ``same_as`` is the key of the stamp it already equals, or None."""

    id: int
    same_as: int | None


class LiveStamp(NamedTuple):
    """A row of the cache that is not deleted, before the request changes anything."""

    id: int
    provider: str
    updated_at: datetime
    revoked: bool


class ToKeep(NamedTuple):
    """A reading as it may be kept for the next request: its texts as they came, and which row versions it is of."""

    versions: str
    stamps: str
    stored_stamps: str | None
    nullifiers: Sequence[str]


class ScoringRow(NamedTuple):
    """All that is known of an address in a community before it is scored.

    ``live`` and ``last_score_timestamp`` are the token of what was read.
    Ids are None where the row does not exist yet; ``points`` is None outside the points program.
    ``to_keep`` is None where this reading was kept already, or cannot be.
    """

    community_id: int
    weights: str | None
    threshold: Decimal
    overrides: tuple[tuple[str, str], ...]
    passport_id: int | None
    score_id: int | None
    last_score_timestamp: datetime | None
    live: tuple[LiveStamp, ...]
    stamps: tuple[Stamp, ...]
    links: dict[str, Link]
    stored_stamps: tuple[StoredStamp, ...]
    points: PointsRead | None
    to_keep: ToKeep | None = None


READ_SCORING = """
-- what scoring an address for a community needs, posted stamps taken in as if they were stored; see sql/functions.py
SELECT f.community_id, f.weights, f.threshold, f.passport_id, f.score_id, f.last_score_timestamp,
       f.live, f.stamps, f.links, f.stored_stamps, f.overrides, f.points,
       f.texts, f.nullifiers, f.versions, f.is_kept
FROM scorer_fast_read_scoring_2(
    %(scorer_id)s::bigint, %(external_id)s::text, %(account_id)s::bigint, %(address)s::text,
    %(verifier)s::text, %(points)s::boolean, %(with_text)s::boolean, %(posted)s::jsonb, %(replaced)s::text[]
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
    points: bool,
    with_text: bool = False,
    posted: Posted = NOTHING_POSTED,
) -> ScoringRow | None:
    """What scoring ``address`` needs; None when there is no such community.

    ``with_text``: every stamp with its credential's text, else only those whose signature is unknown.
    """
    read = fetch_one(
        alias,
        READ_SCORING,
        community.parameters()
        | {
            "address": address,
            "verifier": verifier,
            "points": points,
            "with_text": with_text,
            "posted": posted.entries,
            "replaced": list(posted.replaced),
        },
    )
    if read is None:
        return None
    texts, nullifiers, versions, is_kept = read[12:]
    row = scoring_row(read[:12])
    if texts is not None:
        by_key = _json(texts)
        row = row._replace(stamps=tuple(stamp._replace(text=by_key[str(stamp.key)]) for stamp in row.stamps))
    if is_kept or versions is None or read[7] is None:
        return row
    return row._replace(to_keep=ToKeep(versions, read[7], read[9], nullifiers))


def scoring_row(row: tuple[Any, ...]) -> ScoringRow:
    """The first twelve columns of READ_SCORING, in their types."""
    (community_id, weights, threshold, passport_id, score_id, scored_at) = row[:6]
    live, stamps, links, stored, overrides = map(_json, row[6:11])
    return ScoringRow(
        community_id=community_id,
        weights=weights,
        threshold=threshold,
        overrides=tuple((name, weight) for name, weight in overrides or ()),
        passport_id=passport_id,
        score_id=score_id,
        last_score_timestamp=scored_at,
        live=tuple(LiveStamp(id_, of, datetime.fromisoformat(at), revoked) for id_, of, at, revoked in live or ()),
        stamps=tuple(
            Stamp(key, provider, at and datetime.fromisoformat(at), *rest) for key, provider, at, *rest in stamps or ()
        ),
        links={hash_: Link(hash_, owner, datetime.fromisoformat(until)) for hash_, owner, until in links or ()},
        stored_stamps=tuple(StoredStamp(*stamp) for stamp in stored or ()),
        points=read_points(row[11]),
    )


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # a number beyond a double: one field of one stamp, not the whole score
        return json.loads(text, parse_int=_number)


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < 20 else float(digits)
