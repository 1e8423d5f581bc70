"""registry_score and the events that go with it, written only while what was read is still so."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import orjson

from ..db.connection import Meanwhile, fetch_one, fetch_value, instant
from ..domain.points import PointsRead
from ..domain.score import StoredScore
from .communities import BIGINT
from .points import read_points
from .read import Seen

UPDATE_SCORE = """
-- stores a score over the one that was read, with its events; see db/functions.py
SELECT scorer_fast_update_score_1(
    %(score_id)s::bigint, %(passport_id)s::bigint, %(community_id)s::bigint, %(address)s::text,
    %(now)s::timestamptz, %(score)s::integer, %(expiration_date)s::timestamptz,
    %(dedup_events)s::jsonb, %(score_event)s::jsonb,
    %(live_ids)s::bigint[], %(newest_update)s::timestamptz, %(seen_timestamp)s::timestamptz, %(awaited)s::boolean)
"""

LOCK_SCORE = """
-- locks the score of a passport; registry_score (passport_id)
SELECT s.id
FROM registry_score AS s
WHERE s.passport_id = %(passport_id)s
FOR NO KEY UPDATE
"""


def lock_score(alias: str, passport_id: int) -> int | None:
    """Wait for the score's lock; its id, None when the passport has no score."""
    value: int | None = fetch_value(alias, LOCK_SCORE, {"passport_id": passport_id})
    return value


class ScoreWrite(NamedTuple):
    """A score row and its events; JSON as text. The row's JSON columns are those of ``score_event``."""

    address: str
    community_id: int
    now: datetime
    score: int
    expiration_date: datetime | None
    dedup_events: str
    score_event: str


def update_score(
    alias: str,
    write: ScoreWrite,
    *,
    score_id: int,
    passport_id: int,
    seen: Seen,
    awaited: bool = True,
    meanwhile: Meanwhile[Any] | None = None,
) -> bool:
    """Store over the score that was read; False when the score or the live stamps are no longer as seen.

    Not ``awaited`` (in autocommit only): where the score says what it said before, a crash of the database may
    lose it within the next second, whole.
    """
    parameters = write._asdict() | {
        "score_id": score_id,
        "passport_id": passport_id,
        "live_ids": seen.live_ids,
        "newest_update": seen.newest_update,
        "seen_timestamp": seen.last_score_timestamp,
        "awaited": awaited,
    }
    return bool(fetch_value(alias, UPDATE_SCORE, parameters, meanwhile))


GET_STORED_SCORE = """
-- the stored score of an address in a community, with points; see db/functions.py
SELECT f.score_id, f.last_score_timestamp::text, f.expiration_date::text, f.error, f.evidence, f.stamps, f.points
FROM scorer_fast_read_stored_score_1(%(community_id)s::bigint, %(address)s::text, %(points)s::boolean) AS f
WHERE f.community_id IS NOT NULL
"""


def get_stored_score(
    alias: str, community_id: int, address: str, *, points: bool
) -> tuple[StoredScore | None, PointsRead | None] | None:
    """The stored score and the points of an address, each None without one; None when there is no such community."""
    if abs(community_id) > BIGINT:
        return None
    row = fetch_one(
        alias, GET_STORED_SCORE, {"community_id": community_id, "address": address, "points": points}, repeatable=True
    )
    if row is None:
        return None
    score_id, scored_at, expires, error, evidence, stamps, points_json = row
    stored = None
    if score_id is not None:
        shown = None if stamps is None else orjson.Fragment(stamps)
        stored = StoredScore(instant(scored_at), instant(expires), error, _json(evidence), shown)
    return stored, read_points(points_json)


HAS_SCORE = """
-- whether an address has a score in a community;
-- registry_passport (address, community_id), registry_score (passport_id)
SELECT EXISTS (
    SELECT
    FROM registry_passport AS p
    JOIN registry_score AS s ON s.passport_id = p.id
    WHERE p.address = %(address)s
      AND p.community_id = %(community_id)s
)
"""


def has_score(alias: str, community_id: int, address: str) -> bool:
    """Whether ``address`` was ever scored in the community of that id."""
    return bool(fetch_value(alias, HAS_SCORE, {"community_id": community_id, "address": address}, repeatable=True))


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
