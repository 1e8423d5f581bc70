"""What happened lately, asked for all operations at once: the questions behind :mod:`scorer_fast.cutover.state`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NamedTuple

from ..db.connection import fetch_all, run, text_array
from .figures import ANSWERED


class SeriesRow(NamedTuple):
    """One side of an operation within one slot of time; percentiles as buckets of ``cutover/figures.py``, of what this
    side's own code served: None where that is nothing.

    ``away``: requests that an open circuit kept from the fast path, not among ``requests``; ``stood_in``: those of the
    host's that were the fast path's to answer.
    """

    operation: str
    side: str
    slot: int
    requests: int
    errors: int
    away: int
    stood_in: int
    p50: int | None
    p95: int | None
    p99: int | None


LIST_SERIES = """
-- requests, errors and percentiles of every side in slots of some seconds; a scan of the period's histograms
WITH b AS (
    SELECT h.operation, h.side, h.bucket,
           floor(extract(epoch FROM h.minute - %(since)s::timestamptz) / %(seconds)s)::int AS slot,
           coalesce(sum(h.count) FILTER (WHERE h.outcome <> 'circuit_open'), 0) AS count,
           coalesce(sum(h.count) FILTER (WHERE h.outcome = 'circuit_open'), 0) AS away,
           coalesce(sum(h.count) FILTER (WHERE h.outcome = 'stood_in'), 0) AS stood_in,
           coalesce(sum(h.count) FILTER (WHERE h.outcome IN ('error', 'fallback')), 0) AS errors,
           coalesce(sum(h.count) FILTER (WHERE h.outcome = ANY (%(answered)s::text[])), 0) AS answered
    FROM scorer_fast_histogrambucket AS h
    WHERE h.minute >= %(since)s
      AND h.side IN ('fast', 'legacy')
      AND (%(operation)s::text IS NULL OR h.operation = %(operation)s)
    GROUP BY 1, 2, 3, 4
), c AS (
    SELECT b.*,
           sum(b.answered) OVER (PARTITION BY b.operation, b.side, b.slot ORDER BY b.bucket) AS reached,
           sum(b.answered) OVER (PARTITION BY b.operation, b.side, b.slot) AS total
    FROM b
)
SELECT c.operation, c.side, c.slot, sum(c.count)::bigint, sum(c.errors)::bigint, sum(c.away)::bigint,
       sum(c.stood_in)::bigint,
       min(c.bucket) FILTER (WHERE c.reached >= c.total * 0.50 AND c.total > 0),
       min(c.bucket) FILTER (WHERE c.reached >= c.total * 0.95 AND c.total > 0),
       min(c.bucket) FILTER (WHERE c.reached >= c.total * 0.99 AND c.total > 0)
FROM c
GROUP BY c.operation, c.side, c.slot
ORDER BY c.operation, c.slot, c.side
"""


def list_series(alias: str, since: datetime, seconds: float, operation: str | None = None) -> list[SeriesRow]:
    """Both sides in slots of ``seconds`` counted from ``since``; of one operation, or of all."""
    parameters = {"since": since, "seconds": seconds, "operation": operation, "answered": text_array(ANSWERED)}
    return [SeriesRow(*row) for row in fetch_all(alias, LIST_SERIES, parameters)]


class OutcomeRow(NamedTuple):
    """How often something was counted for an operation, and in which minutes first and last."""

    operation: str
    outcome: str
    amount: int
    lately: int
    first: datetime
    last: datetime


LIST_OUTCOMES = """
-- what was counted of every operation since a minute, and since a later one; a scan of the period's counts
SELECT c.operation, c.outcome, sum(c.count)::bigint,
       coalesce(sum(c.count) FILTER (WHERE c.minute >= %(lately)s), 0)::bigint,
       min(c.minute), max(c.minute)
FROM scorer_fast_shadowcount AS c
WHERE c.minute >= %(since)s
GROUP BY c.operation, c.outcome
ORDER BY c.operation, c.outcome
"""


def list_outcomes(alias: str, since: datetime, lately: datetime) -> list[OutcomeRow]:
    """Counts since ``since``; ``lately`` is their part since the later instant."""
    return [OutcomeRow(*row) for row in fetch_all(alias, LIST_OUTCOMES, {"since": since, "lately": lately})]


class GroupsRow(NamedTuple):
    """Groups of differences of one category."""

    operation: str
    category: str
    groups: int
    differences: int


LIST_GROUPS = """
-- how many groups of differences of each category were seen since an instant; scorer_fast_mismatch (last_seen)
SELECT m.operation, m.category, count(*), sum(m.count)::bigint
FROM scorer_fast_mismatch AS m
WHERE m.last_seen >= %(since)s
GROUP BY m.operation, m.category
ORDER BY m.operation, m.category
"""


def list_groups(alias: str, since: datetime) -> list[GroupsRow]:
    """Groups seen since ``since``."""
    return [GroupsRow(*row) for row in fetch_all(alias, LIST_GROUPS, {"since": since})]


class DifferenceRow(NamedTuple):
    """A group of differences of one operation."""

    id: int
    path: str
    kind: str
    category: str
    rule: str
    times: int
    last_seen: datetime


LIST_DIFFERENCES = """
-- an operation's groups of differences, the newest of each category first; scorer_fast_mismatch_group
SELECT m.id, m.path, m.kind, m.category, m.rule, m.count, m.last_seen
FROM scorer_fast_mismatch AS m
WHERE m.operation = %(operation)s
ORDER BY m.category, m.last_seen DESC
LIMIT %(most)s
"""


def list_differences(alias: str, operation: str, most: int) -> list[DifferenceRow]:
    """At most ``most`` groups."""
    parameters = {"operation": operation, "most": most}
    return [DifferenceRow(*row) for row in fetch_all(alias, LIST_DIFFERENCES, parameters)]


class SampleRow(NamedTuple):
    """A sample of a group; the last three as JSON."""

    group: int
    taken_at: datetime
    request: Any
    control: Any
    candidate: Any


LIST_SAMPLES = """
-- the newest samples of some groups, oldest first; the foreign key's index
SELECT s.mismatch_id, s.taken_at, s.request::text, s.control::text, s.candidate::text
FROM unnest(%(groups)s::bigint[]) AS g (id)
CROSS JOIN LATERAL (
    SELECT n.id, n.mismatch_id, n.taken_at, n.request, n.control, n.candidate
    FROM scorer_fast_mismatchsample AS n
    WHERE n.mismatch_id = g.id
    ORDER BY n.id DESC
    LIMIT %(most)s
) AS s
ORDER BY s.id
"""


def list_samples(alias: str, groups: list[int], most: int) -> list[SampleRow]:
    """At most ``most`` samples of each group."""
    return [
        SampleRow(*row[:2], *(None if text is None else json.loads(text) for text in row[2:]))
        for row in fetch_all(alias, LIST_SAMPLES, {"groups": groups, "most": most})
    ]


class ChangeRow(NamedTuple):
    """One line of the log of changes."""

    operation: str
    changed_at: datetime
    changed_by: str
    from_value: str
    to_value: str
    reason: str


LIST_LAST_CHANGES = """
-- the newest line of the log for every target but a rollout's own, which set no flag; scorer_fast_flaglog (operation)
SELECT DISTINCT ON (l.operation)
       l.operation, l.changed_at, l.changed_by, l.from_value, l.to_value, l.reason
FROM scorer_fast_flaglog AS l
WHERE NOT starts_with(l.to_value, 'rollout ')
ORDER BY l.operation, l.id DESC
"""


def list_last_changes(alias: str) -> list[ChangeRow]:
    """The newest change of each operation, and of ``all``."""
    return [ChangeRow(*row) for row in fetch_all(alias, LIST_LAST_CHANGES, {})]


LIST_CHANGES = """
-- the newest lines of the log since an instant, of some targets or of all; scorer_fast_flaglog pkey, backwards
SELECT l.operation, l.changed_at, l.changed_by, l.from_value, l.to_value, l.reason
FROM scorer_fast_flaglog AS l
WHERE l.changed_at >= %(since)s
  AND (%(targets)s::text[] IS NULL OR l.operation = ANY(%(targets)s::text[]))
ORDER BY l.id DESC
LIMIT %(most)s
"""


def list_changes(alias: str, targets: list[str] | None, since: datetime, most: int) -> list[ChangeRow]:
    """At most ``most`` changes since ``since``, newest first; None: of every target."""
    parameters = {"targets": targets, "since": since, "most": most}
    return [ChangeRow(*row) for row in fetch_all(alias, LIST_CHANGES, parameters)]


COUNT_CONNECTIONS = """
-- connections to this database by what they do; pg_stat_activity
SELECT CASE WHEN a.state = 'idle' THEN 'idle' ELSE 'used' END AS doing, count(*)
FROM pg_stat_activity AS a
WHERE a.datname = current_database()
  AND a.state IS NOT NULL
GROUP BY 1
"""


def count_connections(alias: str) -> dict[str, int]:
    """Connections of all clients: ``idle`` and ``used``."""
    return {"idle": 0, "used": 0, **{row[0]: row[1] for row in fetch_all(alias, COUNT_CONNECTIONS, {})}}


# ---- older minutes become hours: charts of days read no more rows than charts of an hour

FOLD_FIGURES = """
-- adds the histograms of older minutes to those of their hour; scorer_fast_histogram_cell
WITH moved AS (
    DELETE FROM scorer_fast_histogrambucket AS h
    WHERE h.minute < %(before)s
      AND h.minute <> date_trunc('hour', h.minute, 'UTC')
    RETURNING h.operation, h.side, h.minute, h.outcome, h.bucket, h.count, h."distinct", h.callers
)
INSERT INTO scorer_fast_histogrambucket AS b (operation, side, minute, outcome, bucket, count, "distinct", callers)
SELECT m.operation, m.side, date_trunc('hour', m.minute, 'UTC'), m.outcome, m.bucket,
       sum(m.count), sum(m."distinct"), bit_or(m.callers)
FROM moved AS m
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (minute, operation, side, outcome, bucket) DO UPDATE
SET count = b.count + EXCLUDED.count,
    "distinct" = b."distinct" + EXCLUDED."distinct",
    callers = b.callers | EXCLUDED.callers
"""
FOLD_COUNTS = """
-- adds the counts of older minutes to those of their hour; scorer_fast_shadowcount_cell
WITH moved AS (
    DELETE FROM scorer_fast_shadowcount AS c
    WHERE c.minute < %(before)s
      AND c.minute <> date_trunc('hour', c.minute, 'UTC')
    RETURNING c.operation, c.minute, c.outcome, c.count, c.callers
)
INSERT INTO scorer_fast_shadowcount AS s (operation, minute, outcome, count, callers)
SELECT m.operation, date_trunc('hour', m.minute, 'UTC'), m.outcome, sum(m.count), bit_or(m.callers)
FROM moved AS m
GROUP BY 1, 2, 3
ON CONFLICT (minute, operation, outcome) DO UPDATE
SET count = s.count + EXCLUDED.count,
    callers = s.callers | EXCLUDED.callers
"""


def fold(alias: str, before: datetime) -> int:
    """Make hours of the minutes before the hour of ``before``; how many rows the hours have taken in."""
    hour = {"before": before.replace(minute=0, second=0, microsecond=0)}
    return run(alias, FOLD_FIGURES, hour) + run(alias, FOLD_COUNTS, hour)
