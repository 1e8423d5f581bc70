"""scorer_fast_rescorerun, …batch and …failure: what is still to be rescored, shared by all processes that do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from ..db.connection import fetch_all, fetch_one, run


class Community(NamedTuple):
    """A community that may be rescored; without a threshold it has no scorer with weights."""

    id: int
    name: str
    has_threshold: bool


GET_COMMUNITY = """
-- a community and whether it has weights; account_community pkey, db/functions/weights_1.sql
SELECT c.id AS id, c.name AS name, w.threshold IS NOT NULL AS has_threshold
FROM account_community AS c
CROSS JOIN scorer_fast_weights_1(c.scorer_id) AS w
WHERE c.id = %(community_id)s
"""


def get_community(alias: str, community_id: int) -> Community | None:
    """The community of that id, deleted ones too."""
    row = fetch_one(alias, GET_COMMUNITY, {"community_id": community_id})
    return None if row is None else Community(*row)


class RunRow(NamedTuple):
    """One rescoring of a community; the counts of one that has not ended are those of its batches so far."""

    id: int
    community_id: int
    only_changed: bool
    started_at: datetime
    finished_at: datetime | None
    abandoned: bool
    addresses: int
    scored: int
    unchanged: int
    failed: int

    @property
    def done(self) -> int:
        return self.scored + self.unchanged + self.failed


LIST_RUNS = """
-- the newest rescorings of a community, newest first; scorer_fast_rescorerun pkey, scorer_fast_rescorebatch (run_id)
SELECT r.id, r.community_id, r.only_changed, r.started_at, r.finished_at, r.abandoned, r.addresses,
       r.scored + COALESCE(b.scored, 0), r.unchanged + COALESCE(b.unchanged, 0), r.failed + COALESCE(b.failed, 0)
FROM scorer_fast_rescorerun AS r
LEFT JOIN LATERAL (
    SELECT sum(b.scored) AS scored, sum(b.unchanged) AS unchanged, sum(b.failed) AS failed
    FROM scorer_fast_rescorebatch AS b
    WHERE b.run_id = r.id
) AS b ON TRUE
WHERE r.community_id = %(community_id)s
ORDER BY r.id DESC
LIMIT %(limit)s
"""


def list_runs(alias: str, community_id: int, limit: int) -> list[RunRow]:
    """The newest ``limit`` runs of a community."""
    rows = fetch_all(alias, LIST_RUNS, {"community_id": community_id, "limit": limit})
    return [RunRow(*row[:7], *map(int, row[7:])) for row in rows]


GET_RUN = """
-- a rescoring and how far it is; scorer_fast_rescorerun pkey, scorer_fast_rescorebatch (run_id)
SELECT r.id, r.community_id, r.only_changed, r.started_at, r.finished_at, r.abandoned, r.addresses,
       r.scored + COALESCE(b.scored, 0), r.unchanged + COALESCE(b.unchanged, 0), r.failed + COALESCE(b.failed, 0)
FROM scorer_fast_rescorerun AS r
LEFT JOIN LATERAL (
    SELECT sum(b.scored) AS scored, sum(b.unchanged) AS unchanged, sum(b.failed) AS failed
    FROM scorer_fast_rescorebatch AS b
    WHERE b.run_id = r.id
) AS b ON TRUE
WHERE r.id = %(run_id)s
"""


def get_run(alias: str, run_id: int) -> RunRow | None:
    """The run and how far it is."""
    row = fetch_one(alias, GET_RUN, {"run_id": run_id})
    return None if row is None else RunRow(*row[:7], *map(int, row[7:]))


INSERT_RUN = """
-- begins a rescoring unless one of the community is under way; scorer_fast_rescore_open
INSERT INTO scorer_fast_rescorerun (
    community_id, only_changed, started_at, finished_at, abandoned, addresses, scored, unchanged, failed)
VALUES (%(community_id)s, %(only_changed)s, %(now)s, NULL, FALSE, 0, 0, 0, 0)
ON CONFLICT (community_id) WHERE finished_at IS NULL DO NOTHING
RETURNING id
"""

# Passports of other texts than a lower-case address were never scored: nothing asks for them.
INSERT_BATCHES = """
-- cuts a community's passports into batches by id; registry_passport (community_id)
INSERT INTO scorer_fast_rescorebatch (
    run_id, number, passport_ids, tries, done, scored, unchanged, failed)
SELECT %(run_id)s, b.number, b.passport_ids, 0, FALSE, 0, 0, 0
FROM (
    SELECT (p.position - 1) / %(size)s AS number, jsonb_agg(p.id ORDER BY p.id) AS passport_ids
    FROM (
        SELECT p.id, row_number() OVER (ORDER BY p.id) AS position
        FROM registry_passport AS p
        WHERE p.community_id = %(community_id)s
          AND p.address ~ '^(0x)?[0-9a-f]{40}$'
    ) AS p
    GROUP BY 1
) AS b
ORDER BY b.number
"""

COUNT_ADDRESSES = """
-- notes how many addresses a rescoring has; scorer_fast_rescorebatch (run_id)
UPDATE scorer_fast_rescorerun AS r
SET addresses = (
        SELECT COALESCE(sum(jsonb_array_length(b.passport_ids)), 0)
        FROM scorer_fast_rescorebatch AS b
        WHERE b.run_id = r.id)
WHERE r.id = %(run_id)s
"""


def insert_run(alias: str, community_id: int, *, only_changed: bool, size: int, now: datetime) -> int | None:
    """Begin a rescoring in batches of ``size``; None where one is under way. Needs a transaction around it."""
    row = fetch_one(alias, INSERT_RUN, {"community_id": community_id, "only_changed": only_changed, "now": now})
    if row is None:
        return None
    run_id: int = row[0]
    run(alias, INSERT_BATCHES, {"run_id": run_id, "community_id": community_id, "size": size})
    run(alias, COUNT_ADDRESSES, {"run_id": run_id})
    return run_id


class BatchRow(NamedTuple):
    """Passports still to be scored; ``tries``: transactions that tried so far."""

    id: int
    passport_ids: list[int]
    tries: int


# The lock is the claim: it ends with the transaction, so with the process or its connection too.
CLAIM_BATCH = """
-- the first batch that is not done and nobody works on, those never tried first; scorer_fast_rescore_todo
SELECT b.id, b.passport_ids::text, b.tries
FROM scorer_fast_rescorebatch AS b
WHERE b.run_id = %(run_id)s
  AND NOT b.done
ORDER BY b.tries, b.number
LIMIT 1
FOR UPDATE SKIP LOCKED
"""


def claim_batch(alias: str, run_id: int) -> BatchRow | None:
    """Lock the next batch; None when all are done or being worked on."""
    row = fetch_one(alias, CLAIM_BATCH, {"run_id": run_id})
    return None if row is None else BatchRow(row[0], orjson.loads(row[1]), row[2])


# The setting ends with the transaction, so nothing stays behind in the session: a pooler may hand it to anyone.
RECORD_BATCH = """
-- notes how far a batch is; scorer_fast_rescorebatch pkey
UPDATE scorer_fast_rescorebatch AS b
SET passport_ids = %(passport_ids)s::jsonb,
    tries = b.tries + 1,
    done = (%(passport_ids)s::jsonb = '[]'::jsonb),
    scored = b.scored + %(scored)s,
    unchanged = b.unchanged + %(unchanged)s,
    failed = b.failed + %(failed)s
WHERE b.id = %(batch_id)s
RETURNING CASE WHEN NOT %(awaited)s THEN set_config('synchronous_commit', 'off', TRUE) END
"""


def record_batch(
    alias: str, batch_id: int, left: Sequence[int], *, scored: int, unchanged: int, failed: int, awaited: bool
) -> None:
    """Add to the batch's counts; ``left`` are the passports still to be scored.

    Not ``awaited``: the transaction is committed without waiting for the disk.
    """
    run(
        alias,
        RECORD_BATCH,
        {
            "batch_id": batch_id,
            "passport_ids": orjson.dumps(list(left)).decode(),
            "scored": scored,
            "unchanged": unchanged,
            "failed": failed,
            "awaited": awaited,
        },
    )


class FailureRow(NamedTuple):
    """An address that could not be scored, and why."""

    passport_id: int
    address: str
    error: str


INSERT_FAILURES = """
-- notes addresses that could not be scored
INSERT INTO scorer_fast_rescorefailure (run_id, passport_id, address, error)
SELECT %(run_id)s, n.passport_id, n.address, n.error
FROM unnest(%(passport_ids)s::bigint[], %(addresses)s::text[], %(errors)s::text[]) AS n (passport_id, address, error)
"""


def insert_failures(alias: str, run_id: int, failures: Sequence[FailureRow]) -> None:
    """Note ``failures`` of a run."""
    run(
        alias,
        INSERT_FAILURES,
        {
            "run_id": run_id,
            "passport_ids": [failure.passport_id for failure in failures],
            "addresses": [failure.address for failure in failures],
            "errors": [failure.error for failure in failures],
        },
    )


LIST_FAILURES = """
-- the first addresses that a rescoring could not score; scorer_fast_rescorefailure (run_id)
SELECT f.passport_id, f.address, f.error
FROM scorer_fast_rescorefailure AS f
WHERE f.run_id = %(run_id)s
ORDER BY f.passport_id
LIMIT %(limit)s
"""


def list_failures(alias: str, run_id: int, limit: int) -> list[FailureRow]:
    """The first ``limit`` failures of a run, by passport."""
    return [FailureRow(*row) for row in fetch_all(alias, LIST_FAILURES, {"run_id": run_id, "limit": limit})]


GET_ADDRESS = """
-- the address of a passport; registry_passport pkey
SELECT p.address
FROM registry_passport AS p
WHERE p.id = %(passport_id)s
"""


def get_address(alias: str, passport_id: int) -> str | None:
    """The address of a passport; None when the row is gone."""
    row = fetch_one(alias, GET_ADDRESS, {"passport_id": passport_id})
    return None if row is None else row[0]


FINISH_RUN = """
-- ends a rescoring whose batches are all done; scorer_fast_rescorerun pkey, scorer_fast_rescorebatch (run_id)
UPDATE scorer_fast_rescorerun AS r
SET finished_at = %(now)s,
    abandoned = %(abandon)s,
    scored = b.scored,
    unchanged = b.unchanged,
    failed = b.failed
FROM (
    SELECT COALESCE(sum(b.scored), 0) AS scored, COALESCE(sum(b.unchanged), 0) AS unchanged,
           COALESCE(sum(b.failed), 0) AS failed, COALESCE(bool_and(b.done), TRUE) AS done
    FROM scorer_fast_rescorebatch AS b
    WHERE b.run_id = %(run_id)s
) AS b
WHERE r.id = %(run_id)s
  AND r.finished_at IS NULL
  AND (b.done OR %(abandon)s)
"""

LOCK_BATCHES = """
-- waits for everybody who works on a rescoring; scorer_fast_rescorebatch (run_id)
SELECT count(*)
FROM (
    SELECT b.id
    FROM scorer_fast_rescorebatch AS b
    WHERE b.run_id = %(run_id)s
    ORDER BY b.id
    FOR UPDATE
) AS b
"""

DELETE_BATCHES = """
-- removes the batches of a rescoring that has ended; scorer_fast_rescorebatch (run_id)
DELETE FROM scorer_fast_rescorebatch AS b
USING scorer_fast_rescorerun AS r
WHERE r.id = %(run_id)s
  AND r.finished_at IS NOT NULL
  AND b.run_id = r.id
"""


def finish_run(alias: str, run_id: int, now: datetime) -> bool:
    """End the run if all its batches are done; whether this call ended it. Needs a transaction around it."""
    ended = run(alias, FINISH_RUN, {"run_id": run_id, "now": now, "abandon": False}) > 0
    if ended:
        run(alias, DELETE_BATCHES, {"run_id": run_id})
    return ended


def abandon_run(alias: str, run_id: int, now: datetime) -> None:
    """End the run as it is, once nobody works on a batch of it. Needs a transaction around it."""
    fetch_one(alias, LOCK_BATCHES, {"run_id": run_id})
    run(alias, FINISH_RUN, {"run_id": run_id, "now": now, "abandon": True})
    run(alias, DELETE_BATCHES, {"run_id": run_id})
