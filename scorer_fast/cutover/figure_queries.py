"""The tables of figures and of shadow's counts: every process adds to them, by minutes of the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from ..db.connection import fetch_all, fetch_value, run

GET_CLOCK = """
-- what time it is, for processes whose own clocks may be hours apart
SELECT clock_timestamp() AS now
"""


def get_clock(alias: str) -> datetime:
    """The database's clock."""
    now: datetime = fetch_value(alias, GET_CLOCK, {})
    return now


LIMIT_WRITING = """
-- no statement of this transaction runs longer, nor waits longer for a lock
SELECT set_config('statement_timeout', %(milliseconds)s, true)
"""


def limit_writing(alias: str, seconds: float) -> None:
    """No statement of the transaction runs longer than ``seconds``, waiting for locks included."""
    fetch_value(alias, LIMIT_WRITING, {"milliseconds": str(int(seconds * 1000))})


# ---- figures


class FigureRow(NamedTuple):
    """Requests of one side's minute that ended in one way and fell into one bucket.

    ``distinct`` of them were their caller's first; ``callers`` is a bit set of hashed callers.
    """

    operation: str
    side: str
    minute: datetime
    outcome: str
    bucket: int
    requests: int
    distinct: int
    callers: int


ADD_FIGURES = """
-- adds a process's figures to everybody's, in key order against deadlocks; scorer_fast_histogram_cell
INSERT INTO scorer_fast_histogrambucket AS b (
    operation, side, minute, outcome, bucket, count, "distinct", callers)
SELECT f.operation, f.side, f.minute, f.outcome, f.bucket, f.count, f.first, f.callers
FROM unnest(
    %(operations)s::text[], %(sides)s::text[], %(minutes)s::timestamptz[], %(outcomes)s::text[],
    %(buckets)s::int[], %(counts)s::bigint[], %(firsts)s::bigint[], %(callers)s::bigint[]
) AS f (operation, side, minute, outcome, bucket, count, first, callers)
ORDER BY f.minute, f.operation, f.side, f.outcome, f.bucket
ON CONFLICT (minute, operation, side, outcome, bucket) DO UPDATE
SET count = b.count + EXCLUDED.count,
    "distinct" = b."distinct" + EXCLUDED."distinct",
    callers = b.callers | EXCLUDED.callers
"""


def add_figures(alias: str, rows: Sequence[FigureRow]) -> int:
    """Add counts to the buckets; each bucket at most once in ``rows``."""
    operations, sides, minutes, outcomes, buckets, counts, firsts, callers = map(list, zip(*rows, strict=True))
    return run(
        alias,
        ADD_FIGURES,
        {
            "operations": operations,
            "sides": sides,
            "minutes": minutes,
            "outcomes": outcomes,
            "buckets": buckets,
            "counts": counts,
            "firsts": firsts,
            "callers": callers,
        },
    )


class BucketRow(NamedTuple):
    """One bucket of one outcome of one side, over minutes and processes."""

    operation: str
    side: str
    outcome: str
    bucket: int
    requests: int


LIST_BUCKETS = """
-- all operations' figures from a minute on, merged over minutes and processes; scorer_fast_histogram_cell
SELECT b.operation, b.side, b.outcome, b.bucket, sum(b.count)::bigint AS requests
FROM scorer_fast_histogrambucket AS b
WHERE b.minute >= %(since)s
GROUP BY b.operation, b.side, b.outcome, b.bucket
"""


def list_buckets(alias: str, since: datetime) -> list[BucketRow]:
    """Every operation's buckets since ``since``."""
    return [BucketRow(*row) for row in fetch_all(alias, LIST_BUCKETS, {"since": since})]


class CellRow(NamedTuple):
    """One cell as the guard counts it: all requests, callers' first ones, and the bit set of callers."""

    operation: str
    minute: datetime
    side: str
    outcome: str
    bucket: int
    requests: int
    distinct: int
    callers: int


LIST_CELLS = """
-- what the guard compares, minute by minute, of all operations; scorer_fast_histogram_cell
SELECT b.operation, b.minute, b.side, b.outcome, b.bucket, b.count AS requests, b."distinct", b.callers
FROM scorer_fast_histogrambucket AS b
WHERE b.minute >= %(since)s
  AND b.minute < %(until)s
  AND b.side IN ('fast', 'legacy')
  AND b.outcome IN ('ok', 'client_error', 'error', 'fallback', 'circuit_open', 'timed_out')
ORDER BY b.minute
"""


def list_cells(alias: str, since: datetime, until: datetime) -> list[CellRow]:
    """The served requests of the minutes from ``since`` to before ``until``, in order of minutes."""
    return [CellRow(*row) for row in fetch_all(alias, LIST_CELLS, {"since": since, "until": until})]


# ---- shadow counts


class CountRow(NamedTuple):
    """How often an operation's shadow ended in an outcome within a minute; ``callers`` as above."""

    operation: str
    minute: datetime
    outcome: str
    requests: int
    callers: int


ADD_COUNTS = """
-- adds a process's shadow counts to everybody's, in key order; scorer_fast_shadowcount_cell
INSERT INTO scorer_fast_shadowcount AS c (operation, minute, outcome, count, callers)
SELECT f.operation, f.minute, f.outcome, f.count, f.callers
FROM unnest(
    %(operations)s::text[], %(minutes)s::timestamptz[], %(outcomes)s::text[], %(counts)s::bigint[],
    %(callers)s::bigint[]
) AS f (operation, minute, outcome, count, callers)
ORDER BY f.minute, f.operation, f.outcome
ON CONFLICT (minute, operation, outcome) DO UPDATE
SET count = c.count + EXCLUDED.count,
    callers = c.callers | EXCLUDED.callers
"""


def add_counts(alias: str, rows: Sequence[CountRow]) -> int:
    """Add to the counts; each cell at most once in ``rows``."""
    operations, minutes, outcomes, counts, callers = map(list, zip(*rows, strict=True))
    return run(
        alias,
        ADD_COUNTS,
        {
            "operations": operations,
            "minutes": minutes,
            "outcomes": outcomes,
            "counts": counts,
            "callers": callers,
        },
    )


# ---- retention

DELETE_OLD_FIGURES = """
-- histograms older than an instant; scorer_fast_histogram_cell
DELETE FROM scorer_fast_histogrambucket AS b WHERE b.minute < %(before)s
"""
DELETE_OLD_COUNTS = """
-- shadow counts older than an instant; scorer_fast_shadowcount_cell
DELETE FROM scorer_fast_shadowcount AS c WHERE c.minute < %(before)s
"""


def delete_old_figures(alias: str, before: datetime) -> int:
    """Forget histograms and shadow counts of minutes before ``before``; how many rows."""
    parameters = {"before": before}
    return run(alias, DELETE_OLD_FIGURES, parameters) + run(alias, DELETE_OLD_COUNTS, parameters)
