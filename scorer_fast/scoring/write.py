"""Carrying out a plan. Invariant: all of it or nothing, and only while what was read is still so.

One statement writes it; ``db/functions/write_scoring_1.sql`` has it, and the order of its locks. Whoever finds that
the world moved raises Changed, and the caller reads and decides again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from django.db import Error as DatabaseError
from django.db import OperationalError, transaction

from ..db.connection import fetch_all, fetch_one, read_committed, sqlstate
from ..db.faults import RETRIED
from ..db.json import dumps
from ..deadline import waiting_for
from ..domain.points import METAMASK, METAMASK_LIMIT
from ..errors import Changed
from ..run import Run
from ..settings import conf
from ..telemetry import count
from .plan import Plan
from .reading import kept_of, logger
from .verify import Checked

NO_LONGER_SO, CLAIM_LOST, HELD = "SF001", "SF002", "55P03"  # SQLSTATEs of the write functions
AGAIN = RETRIED | {NO_LONGER_SO, CLAIM_LOST, HELD}  # of which reading and deciding again may help

WRITE_SCORING = """
-- writes a scoring with everything that changes by it; db/functions/write_scoring_1.sql
SELECT f.passport_id AS passport_id, f.new_ids AS new_ids, f.not_remembered AS not_remembered
FROM scorer_fast_write_scoring_1(%(plan)s::jsonb) AS f
"""


class Written(NamedTuple):
    """The ids that posted stamps got, in their order; ``not_remembered``: the SQLSTATE for which signatures were not
    remembered with the scoring, or the reading not kept; else None."""

    passport_id: int
    new_ids: Sequence[int]
    not_remembered: str | None


def write(run: Run, plan: Plan, checked: Checked) -> Written:
    """Write ``plan``, and remember what ``checked`` found out. Raises Changed, or a database error."""
    # The setting would stay until the end of a caller's transaction, which is not ours to hurry.
    text = plan_json(run, plan, checked, awaited=conf.await_rescores or run.in_transaction)
    try:
        if run.in_transaction:
            written = _write(run.database, text)
            run.is_committing = True  # by the caller, or by the queue
        else:
            with waiting_for(plan.address), run.committing():
                written = _write(run.database, text)
    except DatabaseError as error:
        state = sqlstate(error)
        if state == CLAIM_LOST:
            count("claims.lost")
        if state in (CLAIM_LOST, NO_LONGER_SO):
            raise Changed from None
        raise
    if written.not_remembered is not None:
        # Not with the server's text: PostgreSQL repeats the row in it.
        logger.warning("signatures and readings could not be remembered", extra={"sqlstate": written.not_remembered})
    return written


def _write(alias: str, text: str) -> Written:
    row = fetch_one(alias, WRITE_SCORING, {"plan": text})
    assert row is not None  # a function with one row
    return Written._make(row)


WRITE_BATCH = """
-- writes the scorings of many addresses, each for itself; db/functions/write_batch_1.sql
SELECT f.place AS place, f.is_left AS is_left, f.state AS state, f.message AS message
FROM scorer_fast_write_batch_1(%(plans)s::jsonb) AS f
"""


class WrittenOfBatch(NamedTuple):
    """What became of the plan of that place: ``is_left``: the score already said so; ``state``: why nothing was
    written.
    """

    place: int
    is_left: bool
    state: str | None
    message: str | None


def write_batch(alias: str, plans: Sequence[str]) -> list[WrittenOfBatch]:
    """Write plans (:func:`plan_json`) of one community, each for itself."""
    return [WrittenOfBatch._make(row) for row in fetch_all(alias, WRITE_BATCH, {"plans": f"[{','.join(plans)}]"})]


# ---- who writes after whom

QUEUE = """
-- lets one request of an address that met another go on at a time; db/functions/queue_1.sql
SELECT scorer_fast_queue_1(%(address)s::text, %(community_id)s::bigint, %(lock_timeout)s::text) AS done
"""


@contextmanager
def attempt(run: Run, address: str, community_id: int | None) -> Iterator[None]:
    """Where one attempt reads and writes.

    The first one, without a ``community_id``: nowhere, for each of its statements is a transaction of its own. Later
    ones queue up in a transaction in which nothing of this app changes the address's passport or score but the
    caller. Inside a caller's transaction each attempt is a savepoint. Lock order: the queue of the address, passport,
    score; then as ``db/functions/write_scoring_1.sql`` goes on. Nothing that may fail silently runs in here.
    """
    if community_id is None and not run.in_transaction:
        yield
        return
    with nullcontext() if community_id is None else waiting_for(address), read_committed(run.database):
        if community_id is not None:
            parameters = {"address": address, "community_id": community_id}
            fetch_one(run.database, QUEUE, parameters | {"lock_timeout": run.deadline.lock_timeout()})
        yield
        require_whole(run.database)


def require_whole(alias: str) -> None:
    """An OperationalError where Django will roll the open transaction back: then nothing in it may be acknowledged."""
    connection = transaction.get_connection(alias)
    if connection.in_atomic_block and connection.needs_rollback:
        raise OperationalError("the transaction cannot be committed any longer")


# ---- the plan as the database takes it


def plan_json(run: Run, plan: Plan, checked: Checked, *, awaited: bool, unless_same: bool = False) -> str:
    """``plan`` as db/functions/write_scoring_1.sql takes it; ``awaited``: it is on disk before
    it is answered, also where it says what it said before. ``unless_same``: a score that already says so is left."""
    row, change, scored = plan.row, plan.change, plan.score
    kept = kept_of(plan, {stamp.digest for stamp in checked.new})
    return dumps(
        {
            "passport_id": row.passport_id,
            "score_id": row.score_id,
            "community_id": row.community_id,
            "address": plan.address,
            "now": plan.now,
            "only_the_score": plan.touches_only_the_score,
            "live": row.token.live,
            "last_score_timestamp": row.token.last_score_timestamp,
            "replaced": change.replaced if row.is_replacing else (),  # who stores one meanwhile changes what is live
            "posted": [
                {
                    "provider": posted.stamp.provider,
                    "stamp": orjson.Fragment(posted.stamp.text or "null"),
                    "proof_value": posted.proof_value,
                    "issuance_date": posted.issuance_date,
                    "expiration_date": posted.expiration_date,
                }
                for posted in change.posted
            ],
            "source_app": change.source_app,
            "source_scorer_id": change.source_scorer_id,
            "new_links": plan.dedup.new_links,
            "changed_links": plan.dedup.changed_links,
            "gone": plan.gone_copy_ids,
            "counting": plan.new_copy_keys,
            "awards": _awards(plan),
            "score": int(scored.passing),
            "expiration_date": _utc(scored.expires_at),
            "event": plan.score_event(),
            "dedup_events": plan.dedup_events(),
            "awaited": awaited,
            "unless_same": unless_same,
            "verified": list({stamp.digest: _utc(stamp.expires_at) for stamp in checked.new}.items()),
            "forgotten": [stamp.digest for stamp in checked.no_longer],
            "lock_timeout": run.deadline.lock_timeout(),
            "seen": None if kept is None else row.seen,
            "kept": kept,
        }
    )


def _awards(plan: Plan) -> dict[str, Any] | None:
    if not plan.awards:
        return None
    read = plan.row.points
    assert read is not None  # awards are decided on it
    return {
        "seen_rows": len(read.rows),
        "seen_communities": len(read.communities),
        "qualifies": plan.awards.qualifies,
        "metamask_limit": METAMASK_LIMIT if any(row.action == METAMASK for row in plan.awards.rows) else None,
        "rows": plan.awards.rows,
    }


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
