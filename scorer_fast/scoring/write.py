"""Carrying out a plan. Invariant: all of it or nothing, and only while what was read is still so.

One statement writes it (db/functions.py has it, and the order of its locks). Whoever finds that the world
moved raises Changed, and the caller reads and decides again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

import orjson
from django.db import Error as DatabaseError
from django.db import transaction

from ..db.connection import Meanwhile, sqlstate
from ..domain.credentials import Valid
from ..domain.points import METAMASK, METAMASK_LIMIT
from ..errors import Changed
from ..settings import conf
from ..telemetry import count
from . import context, passports, scores
from .kept import Keeping, Signature, signatures_json
from .plan import Plan
from .read import CLAIM_LOST, NO_LONGER_SO, ScoringWrite, Written, write_scoring
from .verify import in_transaction


def write(
    alias: str,
    plan: Plan,
    verified: Iterable[Valid] = (),
    *,
    keeping: Keeping | None = None,
    meanwhile: Meanwhile[Any] | None = None,
) -> Written | None:
    """Write ``plan``; the rows it made, None where it changed the score alone. Raises Changed, or a database error.

    ``verified``: stamps whose signature is remembered with it, and ``keeping``: what is kept with it, unless it changes
    the score alone.
    ``meanwhile``: what may be done while PostgreSQL writes.
    """
    if in_transaction(alias):
        all_of_it = _all_of(plan, verified, keeping)
        with transaction.atomic(using=alias):  # a savepoint: who finds the world moved reads again inside the caller's
            written = _write_all(alias, all_of_it, plan, meanwhile)
        context.committing()
        return written
    # What can go wrong before a statement is sent goes wrong before this app says that its outcome may be unknown.
    if plan.touches_only_the_score:
        score = _score_of(plan)
        with context.one_statement():
            _write_score(alias, score, plan, meanwhile)
        return None
    all_of_it = _all_of(plan, verified, keeping)
    with context.one_statement():
        return _write_all(alias, all_of_it, plan, meanwhile)


@contextmanager
def queued(alias: str, address: str, community_id: int) -> Iterator[None]:
    """A transaction in which nothing of this app changes the address's passport or score but the caller.

    Lock order: the queue of the address, passport, score; then as :func:`write` goes on.
    """
    with transaction.atomic(using=alias):
        passports.wait_in_queue(alias, address)
        passport_id = passports.lock_passport_of(alias, address, community_id)
        if passport_id is not None:
            scores.lock_score(alias, passport_id)
        yield


def _all_of(plan: Plan, verified: Iterable[Valid], keeping: Keeping | None) -> ScoringWrite:
    row, change = plan.row, plan.change
    return ScoringWrite(
        passport_id=row.passport_id,
        score_id=row.score_id,
        replaced=change.deleted_providers if row.is_replacing else (),  # who stores one meanwhile changes the live ids
        posted=change.rows(),
        source_app=change.source_app,
        source_scorer_id=change.source_scorer_id,
        new_links=_json(plan.dedup.new_links),
        changed_links=_json(plan.dedup.changed_links),
        gone=plan.gone_stamp_ids,
        counting=plan.new_stamp_keys,
        awards=_awards(plan),
        verified=signatures_json(Signature(stamp.digest, stamp.expires_at) for stamp in verified),
        kept=keeping and keeping.reading,
        kept_stamps=keeping and keeping.stamps,
        settled=keeping and keeping.settled,
        **_score_of(plan)._asdict(),
    )


def _write_all(alias: str, write: ScoringWrite, plan: Plan, meanwhile: Meanwhile[Any] | None) -> Written:
    try:
        return write_scoring(alias, write, plan.row.seen, meanwhile)
    except DatabaseError as error:
        state = sqlstate(error)
        if state == CLAIM_LOST:
            count("claims.lost")
        if state in (CLAIM_LOST, NO_LONGER_SO):
            raise Changed from None
        raise


def _awards(plan: Plan) -> str | None:
    if not plan.awards:
        return None
    read = plan.row.points
    assert read is not None  # awards are decided on it
    return _json(
        {
            "seen_rows": len(read.rows),
            "seen_communities": len(read.communities),
            "qualifies": plan.awards.qualifies,
            "metamask_limit": METAMASK_LIMIT if any(row.action == METAMASK for row in plan.awards.rows) else None,
            "rows": plan.awards.rows,
        }
    )


def _score_of(plan: Plan) -> scores.ScoreWrite:
    score = plan.score
    return scores.ScoreWrite(
        address=plan.address,
        community_id=plan.row.community_id,
        now=plan.now,
        score=int(score.passing),
        expiration_date=None if score.expires_at is None else score.expires_at.astimezone(UTC),
        dedup_events=_json(plan.dedup_events()),
        score_event=_json(plan.score_event()),
    )


def _write_score(alias: str, write: scores.ScoreWrite, plan: Plan, meanwhile: Meanwhile[Any] | None) -> None:
    """Store the score and its events: this statement is the whole transaction."""
    row = plan.row
    assert row.score_id is not None  # else more than the score is written
    assert row.passport_id is not None
    if not scores.update_score(
        alias,
        write,
        score_id=row.score_id,
        passport_id=row.passport_id,
        seen=row.seen,
        awaited=conf.await_rescores,
        meanwhile=meanwhile,
    ):
        raise Changed


def _json(value: Any) -> str:
    return orjson.dumps(value, default=tuple).decode()
