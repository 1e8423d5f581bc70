"""Carrying out a plan. Invariant: all of it or nothing, and only while what was read is still so.

Lock order: passport, stamps of the cache, links by nullifier, registry_stamp, points, score. Whoever finds
that the world moved raises Changed, and the caller reads and decides again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime

import orjson
from django.db import transaction

from ..conf import conf
from ..domain.points import METAMASK, METAMASK_LIMIT
from ..domain.score import event_fields
from ..errors import Changed
from ..sql import links, passports, points, scores, stamps
from ..telemetry import count
from . import context, readings
from .plan import Plan
from .signatures import in_transaction


def write(alias: str, plan: Plan) -> dict[int, int]:
    """Write ``plan``; the cache ids that its posted stamps got, by key. Raises Changed, or what the database raises."""
    if plan.touches_only_the_score and not in_transaction(alias):
        # One statement is one transaction: no BEGIN, lock and COMMIT around it. Its own row lock and
        # its token keep the invariant (see UPDATE_SCORE).
        _write_score(alias, plan, plan.row.passport_id, {}, alone=True)
        readings.keep(alias, plan)
        return {}
    with transaction.atomic(using=alias):
        passport_id = _lock(alias, plan)
        new_ids = _write_change(alias, plan)
        _write_links(alias, plan)
        if plan.new_stamp_keys or plan.gone_stamp_ids:
            cache_ids = [new_ids.get(key, key) for key in plan.new_stamp_keys]
            if not stamps.replace_stamps(alias, passport_id, gone=plan.gone_stamp_ids, cache_ids=cache_ids):
                raise Changed
        _write_awards(alias, plan)
        _write_score(alias, plan, passport_id, new_ids)
        context.committing()
    return new_ids


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


def _lock(alias: str, plan: Plan) -> int:
    if plan.row.passport_id is None:
        passport_id = passports.insert_passport(alias, plan.address, plan.row.community_id)
    else:
        passport_id = passports.lock_passport(alias, plan.row.passport_id)
    if passport_id is None:
        raise Changed
    return passport_id


def _write_change(alias: str, plan: Plan) -> dict[int, int]:
    change = plan.change
    if change.deleted_providers:
        stamps.delete_cache_stamps(alias, plan.address, change.deleted_providers, plan.now)
    if not change.stamps:
        return {}
    ids = stamps.insert_cache_stamps(
        alias,
        plan.address,
        change.stamps,
        plan.now,
        source_app=change.source_app,
        source_scorer_id=change.source_scorer_id,
    )
    return {-position: id_ for position, id_ in enumerate(ids, start=1)}


def _write_links(alias: str, plan: Plan) -> None:
    found = plan.dedup
    community_id = plan.row.community_id
    if (found.new_links and not links.insert_links(alias, community_id, found.new_links)) or (
        found.changed_links and not links.update_links(alias, community_id, plan.address, found.changed_links)
    ):
        count("claims.lost")
        raise Changed


def _write_awards(alias: str, plan: Plan) -> None:
    if not plan.awards:
        return
    read = plan.row.points
    assert read is not None  # awards are decided on it
    points.lock_points(alias, plan.address, metamask=any(row.action == METAMASK for row in plan.awards.rows))
    if not points.insert_awards(
        alias, plan.address, plan.row.community_id, plan.awards, read, plan.now, limit=METAMASK_LIMIT
    ):
        raise Changed


def _write_score(
    alias: str, plan: Plan, passport_id: int | None, new_ids: dict[int, int], *, alone: bool = False
) -> None:
    """Store the score and its events; ``alone``: this statement is the whole transaction."""
    assert passport_id is not None  # every caller has one
    score = plan.score
    write = scores.ScoreWrite(
        address=plan.address,
        community_id=plan.row.community_id,
        now=plan.now,
        score=int(score.passing),
        expiration_date=None if score.expires_at is None else score.expires_at.astimezone(UTC),
        dedup_events=_json(plan.dedup_events()),
        event_fields=_json(event_fields(score, plan.now)),
    )
    seen = seen_token(plan, new_ids)
    awaited = not alone or conf.await_rescores
    with context.one_statement() if alone else nullcontext():
        if plan.row.score_id is None:
            stored = scores.insert_score(alias, write, passport_id=passport_id, seen=seen)
        else:
            stored = scores.update_score(
                alias, write, score_id=plan.row.score_id, passport_id=passport_id, seen=seen, awaited=awaited
            )
        if not stored:
            raise Changed


def seen_token(plan: Plan, new_ids: dict[int, int]) -> scores.Seen:
    """The token as it must be now: what was read, with this request's own change on top."""
    deleted = set(plan.change.deleted_providers)
    left = [stamp for stamp in plan.row.live if not stamp.revoked and stamp.provider not in deleted]
    newest: datetime | None = max((stamp.updated_at for stamp in left), default=None)
    if new_ids:
        newest = plan.now if newest is None else max(newest, plan.now)
    ids = sorted([*(stamp.id for stamp in left), *new_ids.values()])
    return scores.Seen(ids, newest, plan.row.last_score_timestamp)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
