"""What the guard knows of before: its lock, its verdicts, its evidence, and what people changed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from ..db.connection import fetch_all, fetch_one, run

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


GET_CLOCK = """
-- the database's clock, and the seconds since the guard last judged; a sequential scan of some twenty rows
SELECT clock_timestamp() AS now,
       extract(epoch FROM clock_timestamp() - max(v.judged_at))::float8 AS age
FROM scorer_fast_guardverdict AS v
"""


class ClockRow(NamedTuple):
    """What time it is, and the age of the last judgement in seconds; None for never, negative for the future."""

    now: datetime
    age: float | None


def get_clock(alias: str) -> ClockRow:
    """The database's clock: several servers' own may be hours apart."""
    row = fetch_one(alias, GET_CLOCK, {})
    assert row is not None
    return ClockRow(*row)


LIST_CHANGES = """
-- the newest line of the log per operation, and of all; a sequential scan of the log
SELECT l.operation, max(l.id) AS line
FROM scorer_fast_flaglog AS l
GROUP BY l.operation
"""


def list_changes(alias: str) -> dict[str, int]:
    """Per operation (or ``all``) the number of its newest line in the log of changes."""
    return {row[0]: row[1] for row in fetch_all(alias, LIST_CHANGES, {})}


COUNT_REAL_MISMATCHES = """
-- groups of mismatches since an instant where the host agrees with itself; scorer_fast_mismatch (last_seen)
SELECT m.operation, count(*) AS groups, string_agg(DISTINCT m.path || ' ' || m.kind, ', ') AS paths
FROM scorer_fast_mismatch AS m
WHERE m.category = 'mismatch'
  AND m.last_seen >= %(since)s
  AND NOT EXISTS (
      SELECT FROM scorer_fast_mismatch AS n
      WHERE n.operation = m.operation AND n.category = 'noise' AND n.path = m.path)
GROUP BY m.operation
"""


def count_real_mismatches(alias: str, since: datetime) -> dict[str, tuple[int, str]]:
    """Per operation the number of groups, and where they are."""
    return {row[0]: (row[1], row[2]) for row in fetch_all(alias, COUNT_REAL_MISMATCHES, {"since": since})}


LIST_COMPARED = """
-- per operation and minute how many requests shadow compared, and whose differed; scorer_fast_shadowcount_cell
SELECT c.operation, c.minute,
       sum(c.count)::bigint AS compared,
       coalesce(sum(c.count) FILTER (WHERE c.outcome = 'mismatched'), 0)::bigint AS mismatched,
       coalesce(bit_or(c.callers) FILTER (WHERE c.outcome = 'mismatched'), 0)::bigint AS callers
FROM scorer_fast_shadowcount AS c
WHERE c.minute >= %(since)s
  AND c.outcome IN ('matched', 'mismatched', 'deliberate')
GROUP BY c.operation, c.minute
"""


class ComparedRow(NamedTuple):
    """One minute of shadow; ``callers`` is a bit set of those whose requests differed."""

    operation: str
    minute: datetime
    compared: int
    mismatched: int
    callers: int


def list_compared(alias: str, since: datetime) -> list[ComparedRow]:
    """What shadow compared since ``since``, minute by minute."""
    return [ComparedRow(*row) for row in fetch_all(alias, LIST_COMPARED, {"since": since})]


# ---- evidence


class EvidenceRow(NamedTuple):
    """One operation's evidence within one step; the last three as JSON text."""

    operation: str
    basis: str
    mode: str
    percent: Decimal
    since: datetime
    until: datetime
    fast: str
    host: str
    state: str


LIST_EVIDENCE = """
-- every operation's newest steps, newest first; a sequential scan of some hundred rows
SELECT e.operation, e.basis, e.mode, e.percent, e.since, e.until, e.fast::text AS fast, e.host::text AS host,
       e.state::text AS state
FROM scorer_fast_guardevidence AS e
ORDER BY e.id DESC
"""


def list_evidence(alias: str) -> list[EvidenceRow]:
    """The evidence of every step that is kept, newest first."""
    return [EvidenceRow(*row) for row in fetch_all(alias, LIST_EVIDENCE, {})]


UPSERT_EVIDENCE = """
-- carries a step's evidence on, or opens a step; scorer_fast_guardevidence_step
INSERT INTO scorer_fast_guardevidence AS e (
    operation, basis, mode, percent, since, until, fast, host, state)
VALUES (%(operation)s, %(basis)s, %(mode)s, %(percent)s, %(since)s, %(until)s, %(fast)s::jsonb, %(host)s::jsonb,
        %(state)s::jsonb)
ON CONFLICT (operation, basis) DO UPDATE
SET until = EXCLUDED.until,
    fast = EXCLUDED.fast,
    host = EXCLUDED.host,
    state = EXCLUDED.state
"""


def upsert_evidence(alias: str, row: EvidenceRow) -> int:
    """Keep a step's evidence."""
    return run(alias, UPSERT_EVIDENCE, row._asdict())


DELETE_OLD_EVIDENCE = """
-- steps that ended before an instant, save each operation's newest; a sequential scan of some hundred rows
DELETE FROM scorer_fast_guardevidence AS e
WHERE e.until < %(before)s
  AND EXISTS (
      SELECT FROM scorer_fast_guardevidence AS n
      WHERE n.operation = e.operation AND n.id > e.id)
"""


def delete_old_evidence(alias: str, before: datetime) -> int:
    """Forget the steps that ended before ``before``; how many."""
    return run(alias, DELETE_OLD_EVIDENCE, {"before": before})
