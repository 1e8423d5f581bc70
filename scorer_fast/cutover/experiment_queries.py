"""The tables of shadow, figures and guard; what the shadow asks the host's to tell a race from a fault."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ..db.connection import fetch_all, fetch_one, run

# ---- figures


class FigureRow(NamedTuple):
    """Requests, and errors among them, that fell into one bucket of one side's minute."""

    operation: str
    side: str
    minute: datetime
    bucket: int
    requests: int
    errors: int


ADD_FIGURES = """
-- adds a process's figures to everybody's, in key order against deadlocks; scorer_fast_histogram_cell
INSERT INTO scorer_fast_histogrambucket AS b (operation, side, minute, bucket, count, errors)
SELECT f.operation, f.side, f.minute, f.bucket, f.count, f.errors
FROM unnest(
    %(operations)s::text[], %(sides)s::text[], %(minutes)s::timestamptz[],
    %(buckets)s::int[], %(counts)s::bigint[], %(errors)s::bigint[]
) AS f (operation, side, minute, bucket, count, errors)
ORDER BY f.operation, f.side, f.minute, f.bucket
ON CONFLICT (operation, side, minute, bucket) DO UPDATE
SET count = b.count + EXCLUDED.count,
    errors = b.errors + EXCLUDED.errors
"""


def add_figures(alias: str, rows: Sequence[FigureRow]) -> int:
    """Add counts to the buckets; each bucket at most once in ``rows``."""
    operations, sides, minutes, buckets, counts, errors = map(list, zip(*rows, strict=True))
    return run(
        alias,
        ADD_FIGURES,
        {
            "operations": operations,
            "sides": sides,
            "minutes": minutes,
            "buckets": buckets,
            "counts": counts,
            "errors": errors,
        },
    )


class BucketRow(NamedTuple):
    """One bucket of a merged histogram."""

    operation: str
    side: str
    bucket: int
    requests: int
    errors: int


LIST_BUCKETS = """
-- one operation's histograms since a minute, merged over minutes and processes; scorer_fast_histogram_cell
SELECT b.operation, b.side, b.bucket, sum(b.count)::bigint, sum(b.errors)::bigint
FROM scorer_fast_histogrambucket AS b
WHERE b.operation = %(operation)s
  AND b.minute >= %(since)s
GROUP BY b.operation, b.side, b.bucket
ORDER BY b.side, b.bucket
"""


def list_buckets(alias: str, operation: str, since: datetime) -> list[BucketRow]:
    """The operation's buckets of each side since ``since``, in order."""
    return [BucketRow(*row) for row in fetch_all(alias, LIST_BUCKETS, {"operation": operation, "since": since})]


# ---- shadow counts


class CountRow(NamedTuple):
    """How often an operation's shadow ended in an outcome within a minute."""

    operation: str
    minute: datetime
    outcome: str
    requests: int


ADD_COUNTS = """
-- adds a process's shadow counts to everybody's, in key order; scorer_fast_shadowcount_cell
INSERT INTO scorer_fast_shadowcount AS c (operation, minute, outcome, count)
SELECT f.operation, f.minute, f.outcome, f.count
FROM unnest(
    %(operations)s::text[], %(minutes)s::timestamptz[], %(outcomes)s::text[], %(counts)s::bigint[]
) AS f (operation, minute, outcome, count)
ORDER BY f.operation, f.minute, f.outcome
ON CONFLICT (operation, minute, outcome) DO UPDATE
SET count = c.count + EXCLUDED.count
"""


def add_counts(alias: str, rows: Sequence[CountRow]) -> int:
    """Add to the counts; each cell at most once in ``rows``."""
    operations, minutes, outcomes, counts = map(list, zip(*rows, strict=True))
    return run(
        alias,
        ADD_COUNTS,
        {"operations": operations, "minutes": minutes, "outcomes": outcomes, "counts": counts},
    )


LIST_COUNTS = """
-- shadow outcomes of all operations since a minute; a sequential scan of some thousand rows
SELECT c.operation, c.outcome, sum(c.count)::bigint
FROM scorer_fast_shadowcount AS c
WHERE c.minute >= %(since)s
GROUP BY c.operation, c.outcome
ORDER BY c.operation, c.outcome
"""


def list_counts(alias: str, since: datetime) -> list[tuple[str, str, int]]:
    """``(operation, outcome, count)`` since ``since``."""
    return [(row[0], row[1], row[2]) for row in fetch_all(alias, LIST_COUNTS, {"since": since})]


# ---- mismatches


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
       %(now)s::timestamptz, %(now)s::timestamptz
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


def upsert_mismatch(alias: str, key: GroupKey, now: datetime, *, most: int) -> GroupRow | None:
    """Count one difference in its group; None where the operation has ``most`` groups already."""
    row = fetch_one(alias, UPSERT_MISMATCH, {**key._asdict(), "now": now, "most": most})
    return None if row is None else GroupRow(*row)


INSERT_SAMPLE = """
-- keeps a sample of a group, whose row this transaction holds
INSERT INTO scorer_fast_mismatchsample (mismatch_id, taken_at, request, control, candidate)
VALUES (%(mismatch_id)s, %(now)s, %(request)s::jsonb, %(control)s::jsonb, %(candidate)s::jsonb)
"""


def insert_sample(alias: str, mismatch_id: int, now: datetime, *, request: str, control: str, candidate: str) -> int:
    """Keep a sample: JSON texts, redacted."""
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


COUNT_REAL_MISMATCHES = """
-- groups of mismatches since an instant where the host agrees with itself; scorer_fast_mismatch_group
SELECT count(*), coalesce(string_agg(DISTINCT m.path, ', '), '')
FROM scorer_fast_mismatch AS m
WHERE m.operation = %(operation)s
  AND m.category = 'mismatch'
  AND m.last_seen >= %(since)s
  AND NOT EXISTS (
      SELECT FROM scorer_fast_mismatch AS n
      WHERE n.operation = m.operation AND n.category = 'noise' AND n.path = m.path)
"""


def count_real_mismatches(alias: str, operation: str, since: datetime) -> tuple[int, str]:
    """Number of groups, and their paths."""
    row = fetch_one(alias, COUNT_REAL_MISMATCHES, {"operation": operation, "since": since})
    return (0, "") if row is None else (row[0], row[1])


# ---- guard

LOCK_GUARD = """
-- whether this transaction is the one that judges; an advisory lock, gone with the transaction
SELECT pg_try_advisory_xact_lock(%(key)s)
"""
GUARD_LOCK = 7_305_116_823_001  # this app's own number


def lock_guard(alias: str) -> bool:
    """Whether nobody else is judging now; holds until the transaction ends."""
    row = fetch_one(alias, LOCK_GUARD, {"key": GUARD_LOCK})
    return row is not None and bool(row[0])


UPSERT_VERDICT = """
-- the newest verdict of an operation; scorer_fast_guardverdict pkey
INSERT INTO scorer_fast_guardverdict AS v (operation, judged_at, verdict, rules)
VALUES (%(operation)s, %(judged_at)s, %(verdict)s, %(rules)s::jsonb)
ON CONFLICT (operation) DO UPDATE
SET judged_at = EXCLUDED.judged_at,
    verdict = EXCLUDED.verdict,
    rules = EXCLUDED.rules
"""


def upsert_verdict(alias: str, operation: str, judged_at: datetime, verdict: str, rules: str) -> int:
    """Keep a verdict; ``rules`` as JSON text."""
    return run(
        alias,
        UPSERT_VERDICT,
        {"operation": operation, "judged_at": judged_at, "verdict": verdict, "rules": rules},
    )


class VerdictRow(NamedTuple):
    """The guard's newest verdict of an operation; ``rules`` as JSON text."""

    operation: str
    judged_at: datetime
    verdict: str
    rules: str


LIST_VERDICTS = """
-- the newest verdict of every operation that was ever judged; a sequential scan of some twenty rows
SELECT v.operation, v.judged_at, v.verdict, v.rules::text
FROM scorer_fast_guardverdict AS v
WHERE v.operation <> ''
ORDER BY v.operation
"""


def list_verdicts(alias: str) -> list[VerdictRow]:
    """The newest verdicts; without the row that stands for a whole round."""
    return [VerdictRow(*row) for row in fetch_all(alias, LIST_VERDICTS, {})]


GET_LAST_JUDGEMENT = """
-- when the guard last judged; a sequential scan of some twenty rows
SELECT max(v.judged_at) FROM scorer_fast_guardverdict AS v
"""


def get_last_judgement(alias: str) -> datetime | None:
    """When any operation was last judged; None for never."""
    row = fetch_one(alias, GET_LAST_JUDGEMENT, {})
    return None if row is None else row[0]


LIST_LIFTS = """
-- when each operation's latch was last lifted; a sequential scan of a few rows
SELECT l.operation, max(l.lifted_at)
FROM scorer_fast_latch AS l
WHERE l.lifted_at IS NOT NULL
GROUP BY l.operation
"""


def list_lifts(alias: str) -> dict[str, datetime]:
    """Per operation the instant before which nothing counts against it."""
    return {row[0]: row[1] for row in fetch_all(alias, LIST_LIFTS, {})}


# ---- retention

DELETE_OLD_FIGURES = """
-- histograms older than an instant; a sequential scan
DELETE FROM scorer_fast_histogrambucket AS b WHERE b.minute < %(before)s
"""
DELETE_OLD_COUNTS = """
-- shadow counts older than an instant; a sequential scan
DELETE FROM scorer_fast_shadowcount AS c WHERE c.minute < %(before)s
"""
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


def delete_old_figures(alias: str, before: datetime) -> int:
    """Forget histograms and shadow counts of minutes before ``before``; how many rows."""
    parameters = {"before": before}
    return run(alias, DELETE_OLD_FIGURES, parameters) + run(alias, DELETE_OLD_COUNTS, parameters)


def delete_old_mismatches(alias: str, before: datetime) -> int:
    """Forget groups last seen before ``before``, with their samples; how many groups."""
    run(alias, DELETE_OLD_SAMPLES, {"before": before})
    return run(alias, DELETE_OLD_MISMATCHES, {"before": before})


# ---- what the shadow asks of the host's tables

LIMIT_READING = """
-- until its end this transaction writes nothing, and no statement of it runs longer
SELECT set_config('transaction_read_only', 'on', true),
       set_config('statement_timeout', %(milliseconds)s, true)
"""


def limit_reading(alias: str, seconds: float) -> None:
    """Make the transaction read-only, and no statement longer than ``seconds`` (0: no limit)."""
    fetch_one(alias, LIMIT_READING, {"milliseconds": str(int(seconds * 1000))})


LIST_TOUCHED = """
-- per address how often it was scored between two instants, and whose stamps of it came or went;
-- registry_event (action, address, community_id, created_at), ceramic_cache_ceramiccache (address)
SELECT a.address,
       (SELECT count(*) FROM registry_event AS e
        WHERE e.action = 'SCU' AND e.address = a.address
          AND e.created_at BETWEEN %(since)s AND %(until)s),
       (SELECT coalesce(array_agg(c.provider::text), '{}') FROM ceramic_cache_ceramiccache AS c
        WHERE c.address = a.address AND c.updated_at BETWEEN %(since)s AND %(until)s)
FROM unnest(%(addresses)s::text[]) AS a (address)
"""


class TouchedRow(NamedTuple):
    """What happened to an address between two instants: scorings, and the provider of each cache row written."""

    address: str
    scorings: int
    providers: list[str]


def list_touched(alias: str, addresses: Sequence[str], since: datetime, until: datetime) -> list[TouchedRow]:
    """What anybody did to ``addresses`` from ``since`` to ``until``."""
    rows = fetch_all(alias, LIST_TOUCHED, {"addresses": list(addresses), "since": since, "until": until})
    return [TouchedRow(*row) for row in rows]


class KeyState(NamedTuple):
    """What the contract treats unlike the host, of one API key."""

    expired: bool
    revoked: bool
    sha512: bool
    cannot_read: bool


GET_KEY_STATE = """
-- in which of the ways an API key is special that the contract treats unlike the host; prefix unique
SELECT k.expiry_date IS NOT NULL AND k.expiry_date < %(now)s,
       k.revoked,
       k.hashed_key LIKE 'sha512$$%%',
       NOT k.read_scores
FROM account_accountapikey AS k
WHERE k.prefix = %(prefix)s
"""


def get_key_state(alias: str, prefix: str, now: datetime) -> KeyState | None:
    """The key's state as at ``now``; None for an unknown prefix."""
    row = fetch_one(alias, GET_KEY_STATE, {"prefix": prefix, "now": now})
    return None if row is None else KeyState(*row)


LIST_LIVE_CREDENTIALS = """
-- the credentials of an address's stamps that are not deleted, as text;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT c.stamp::text
FROM ceramic_cache_ceramiccache AS c
WHERE c.address = %(address)s
  AND c.type = 1
  AND c.deleted_at IS NULL
"""


def list_live_credentials(alias: str, address: str) -> list[str]:
    """What scoring may have been given of an address."""
    return [text for (text,) in fetch_all(alias, LIST_LIVE_CREDENTIALS, {"address": address})]
