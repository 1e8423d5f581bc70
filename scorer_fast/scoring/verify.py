"""Which candidates carry a good signature: remembered ones by digest, the others by didkit, once."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import transaction

from ..db.connection import sqlstate
from ..domain import bounds
from ..domain.credentials import Unreadable, Valid
from ..settings import conf
from ..telemetry import count
from . import context, verifier
from . import verified as sql
from .ahead import Ahead, meet
from .kept import Reading, SettledReading, Signature, delete_kept, delete_settled, remember

logger = logging.getLogger("scorer_fast")

_prune_lock = threading.Lock()
_next_prune = 0.0


class Checked(NamedTuple):
    """Candidates with a good signature in their order; which of them are news, and which once were good."""

    good: tuple[Valid, ...]
    new: tuple[Valid, ...]
    no_longer: tuple[Valid, ...]


NOTHING_CHECKED = Checked((), (), ())


def check(candidates: Sequence[Valid], *, reverify: bool, ahead: Ahead | None = None) -> Checked:
    """Ask didkit about candidates nobody remembers; with ``reverify`` about the remembered ones too.

    What it was asked ``ahead`` is not asked again.
    """
    asked_about = [stamp for stamp in candidates if reverify or not stamp.remembered]
    count("signatures.remembered", sum(stamp.remembered for stamp in candidates))
    if ahead is not None:
        meet(stamp.text or "" for stamp in candidates if stamp.remembered and stamp.key in ahead.credentials)
    if not asked_about:
        return Checked(tuple(candidates), (), ())
    timeout = conf.verify_timeout_seconds
    within = _within_bounds(asked_about)
    answered = [] if ahead is None else [stamp for stamp in within if not stamp.remembered and ahead.covers(stamp)]
    covered = {stamp.key for stamp in answered}
    asked = [stamp for stamp in within if stamp.key not in covered]
    answers = verifier.verify([stamp.text or "" for stamp in asked], timeout)
    good = {stamp.digest: answer for stamp, answer in zip(asked, answers, strict=True)}
    if ahead is not None and answered:
        known = ahead.wait(timeout)
        good |= {stamp.digest: known[stamp.key] for stamp in answered}
    new = tuple(stamp for stamp in within if not stamp.remembered and good[stamp.digest])
    meet(stamp.text or "" for stamp in new)
    count("signatures.verified", sum(good.values()))
    count("signatures.rejected", len(good) - sum(good.values()))
    return Checked(
        tuple(stamp for stamp in candidates if good.get(stamp.digest, stamp.remembered and not reverify)),
        new,
        tuple(stamp for stamp in asked_about if stamp.remembered and not good.get(stamp.digest, False)),
    )


def _within_bounds(stamps: Sequence[Valid]) -> list[Valid]:
    """Those of the stamps that didkit may see; the others are counted and logged as unreadable."""
    reasons = [bounds.check(stamp.text or "") for stamp in stamps]
    log_unreadable(
        [Unreadable(stamp.key, stamp.provider, why) for stamp, why in zip(stamps, reasons, strict=True) if why]
    )
    return [stamp for stamp, why in zip(stamps, reasons, strict=True) if not why]


def log_unreadable(unreadable: Sequence[Unreadable]) -> None:
    """Count and log stamps that were left out."""
    count("stamps.unreadable", len(unreadable))
    for stamp in unreadable:
        logger.warning(
            "a stamp was left out: %s",
            stamp.reason,
            extra={"ceramic_cache_id": stamp.key, "provider": stamp.provider},
        )


def keep(
    checked: Checked,
    now: datetime,
    readings: Sequence[Reading] = (),
    settled: Sequence[SettledReading] = (),
    *,
    are_written: bool = False,
) -> None:
    """Remember what is news, readings included, and forget what is no longer so; outside the scoring transaction.

    That it fails costs the next request another verification or a longer read, nothing else.
    ``are_written``: whether the signatures that are news were written with the score.
    """
    if not context.is_live():
        return
    alias = conf.database
    alone = not in_transaction(alias)
    try:
        with nullcontext() if alone else transaction.atomic(using=alias):
            news = [] if are_written else [Signature(stamp.digest, stamp.expires_at) for stamp in checked.new]
            if news or readings or settled:
                remember(alias, news, readings, settled, now, awaited=not alone)
            if checked.new or readings:
                _prune(alias, now)
            _forget(checked.no_longer)
    except Exception as error:
        log_not_remembered(type(error).__name__, sqlstate(error))


def log_not_remembered(error: str, state: str | None) -> None:
    """Say so, with the error's class and SQLSTATE. Not with its text: PostgreSQL repeats the row in it."""
    known = {"error": error, "sqlstate": state}
    logger.warning("signatures and readings could not be remembered", extra=known)


def is_sampled() -> bool:
    """Whether this request checks remembered signatures again (and so has to read every text)."""
    one_in = conf.reverify_one_in
    return one_in > 0 and context.is_live() and random.random() * one_in < 1


def _forget(stamps: Sequence[Valid]) -> None:
    if stamps:
        logger.error("remembered signatures no longer check out", extra={"digests": [stamp.digest for stamp in stamps]})
        sql.delete_verified(conf.database, [stamp.digest for stamp in stamps])


def _prune(alias: str, now: datetime) -> None:
    global _next_prune
    every = conf.prune_every_seconds
    with _prune_lock:
        due = every > 0 and time.monotonic() >= _next_prune
        if due:
            _next_prune = time.monotonic() + every
    if due:
        sql.delete_expired(alias, now - timedelta(hours=1))
        if days := conf.keep_readings_days:
            delete_kept(alias, now - timedelta(days=days))
            delete_settled(alias, now - timedelta(days=days))


def in_transaction(alias: str) -> bool:
    """Whether the caller has a transaction open: then a statement that fails needs a savepoint around it."""
    return bool(transaction.get_connection(alias).in_atomic_block)
