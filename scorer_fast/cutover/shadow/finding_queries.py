"""The tables of what shadow found: groups of differences and their samples."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ...db.connection import fetch_one, run


class GroupKey(NamedTuple):
    """What makes two differences the same finding."""

    operation: str
    category: str
    path: str
    kind: str
    rule: str


UPSERT_MISMATCH = """
-- counts a difference in its group, opened while the operation has room for one; scorer_fast_mismatch_group
INSERT INTO scorer_fast_mismatch AS m (operation, category, path, kind, rule, count, first_seen, last_seen)
SELECT %(operation)s::text, %(category)s::text, %(path)s::text, %(kind)s::text, %(rule)s::text, 1,
       coalesce(%(now)s::timestamptz, clock_timestamp()), coalesce(%(now)s::timestamptz, clock_timestamp())
WHERE %(path)s::text = 'other'
   OR EXISTS (
       SELECT FROM scorer_fast_mismatch AS g
       WHERE g.operation = %(operation)s AND g.category = %(category)s AND g.path = %(path)s
         AND g.kind = %(kind)s AND g.rule = %(rule)s)
   OR (SELECT count(*) FROM scorer_fast_mismatch AS g WHERE g.operation = %(operation)s) < %(most)s
ON CONFLICT (operation, category, path, kind, rule) DO UPDATE
SET count = m.count + 1,
    last_seen = GREATEST(m.last_seen, EXCLUDED.last_seen)
RETURNING m.id, m.count
"""


class GroupRow(NamedTuple):
    """A group after one more difference was counted in it."""

    id: int
    seen: int


def upsert_mismatch(alias: str, key: GroupKey, now: datetime | None, *, most: int) -> GroupRow | None:
    """Count one difference in its group; None where the operation has ``most`` groups already.

    ``now`` None: the database's clock.
    """
    row = fetch_one(alias, UPSERT_MISMATCH, {**key._asdict(), "now": now, "most": most})
    return None if row is None else GroupRow(*row)


INSERT_SAMPLE = """
-- keeps a sample of a group, whose row this transaction holds
INSERT INTO scorer_fast_mismatchsample (mismatch_id, taken_at, request, control, candidate)
VALUES (%(mismatch_id)s, coalesce(%(now)s::timestamptz, clock_timestamp()), %(request)s::jsonb, %(control)s::jsonb,
        %(candidate)s::jsonb)
"""


def insert_sample(
    alias: str, mismatch_id: int, now: datetime | None, *, request: str, control: str, candidate: str
) -> int:
    """Keep a sample: JSON texts, redacted; ``now`` None: the database's clock."""
    return run(
        alias,
        INSERT_SAMPLE,
        {
            "mismatch_id": mismatch_id,
            "now": now,
            "request": request,
            "control": control,
            "candidate": candidate,
        },
    )


DELETE_OLD_SAMPLES = """
-- samples of groups not seen since an instant; scorer_fast_mismatch (last_seen)
DELETE FROM scorer_fast_mismatchsample AS s
USING scorer_fast_mismatch AS m
WHERE m.id = s.mismatch_id AND m.last_seen < %(before)s
"""
DELETE_OLD_MISMATCHES = """
-- groups not seen since an instant that have no sample; scorer_fast_mismatch (last_seen)
DELETE FROM scorer_fast_mismatch AS m
WHERE m.last_seen < %(before)s
  AND NOT EXISTS (SELECT FROM scorer_fast_mismatchsample AS s WHERE s.mismatch_id = m.id)
"""


def delete_old_mismatches(alias: str, before: datetime) -> int:
    """Forget groups last seen before ``before``, with their samples; how many groups."""
    run(alias, DELETE_OLD_SAMPLES, {"before": before})
    return run(alias, DELETE_OLD_MISMATCHES, {"before": before})
