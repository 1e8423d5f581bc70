"""What is kept of a scoring for the next one: the reading, in the shape in which the read itself delivers it.

Invariant: what is kept says what would be read anew once the plan is written. PostgreSQL keeps it under a token over
the versions of every row that it depends on (db/functions/keep_1.sql), so nobody has to delete it when something
changes, and it may be lost at any time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import Error as DatabaseError

from ..db.connection import run as execute
from ..db.connection import sqlstate
from ..db.json import dumps
from ..domain.credentials import Stamp, named_nullifiers
from ..run import Run
from ..settings import conf
from .plan import Plan
from .read import READER

logger = logging.getLogger("scorer_fast")


def kept_of(plan: Plan, remembered: Collection[str]) -> dict[str, Any] | None:
    """What db/functions/keep_1.sql is to keep of ``plan``; None where nothing is news, or nothing can be kept.

    ``remembered``: digests (hex) that are remembered once the plan is written, and were not when it was read.
    """
    row = plan.row
    if row.seen is None or conf.keep_readings_days <= 0 or (row.is_kept and plan.leaves_stamps_and_links):
        return None
    stamps = [_kept(stamp, remembered) for stamp in row.stamps]
    places = {stamp.key: place for place, stamp in enumerate(stamps, start=1)}
    links = {link.hash: link for link in plan.links_after()}
    named = named_nullifiers(stamps)
    own = {name for name, link in links.items() if link.address == plan.address}
    staying = [copy for copy in row.copies if copy.id not in plan.gone_copy_ids]
    keys = [*(copy.same_as for copy in staying), *plan.new_copy_keys]
    return {
        "reader": READER,
        "reading": dumps(
            {
                "stamps": [stamp[1:] for stamp in stamps],
                "copies": [None if key is None else places[key] for key in keys],
                "links": [links[name] for name in sorted(named & links.keys())],
            }
        ),
        "others": sorted(named - own),
        "verified": [stamp.digest for stamp in stamps if stamp.remembered],
        "live_ids": [stamp.key for stamp in stamps if stamp.key > 0],
        "copy_ids": [copy.id for copy in staying],
    }


def _kept(stamp: Stamp, remembered: Collection[str]) -> Stamp:
    """As it would be read anew: with its text only where its signature is not remembered."""
    is_remembered = stamp.remembered or stamp.digest in remembered
    return stamp._replace(remembered=is_remembered, text=None if is_remembered else stamp.text)


# An array, for a subquery behind IN may be run again for every row, and pick another batch each time.
DELETE_EXPIRED = """
-- forgets signatures of expired credentials, a batch at a time; scorer_fast_verifiedcredential (expires_at)
DELETE FROM scorer_fast_verifiedcredential AS v
WHERE v.digest = ANY (ARRAY(
    SELECT e.digest
    FROM scorer_fast_verifiedcredential AS e
    WHERE e.expires_at <= %(before)s
    ORDER BY e.expires_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
))
"""

DELETE_OLD_READINGS = """
-- forgets readings that were kept long ago, a batch at a time; scorer_fast_keptreading (kept_at)
DELETE FROM scorer_fast_keptreading AS k
WHERE k.passport_id = ANY (ARRAY(
    SELECT o.passport_id
    FROM scorer_fast_keptreading AS o
    WHERE o.kept_at <= %(before)s
    ORDER BY o.kept_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
))
"""


def prune(alias: str, now: datetime) -> tuple[int, int]:
    """Forget at most 1000 signatures whose credential expired an hour ago, and 1000 old readings; how many went."""
    signatures = execute(alias, DELETE_EXPIRED, {"before": now - timedelta(hours=1)})
    readings = 0
    if days := conf.keep_readings_days:
        readings = execute(alias, DELETE_OLD_READINGS, {"before": now - timedelta(days=days)})
    return signatures, readings


_lock = threading.Lock()
_next = 0.0


def prune_when_due(run: Run) -> None:
    """:func:`prune`, once in ``PRUNE_EVERY_SECONDS`` per process; outside any transaction, so that it may fail."""
    global _next
    every = conf.prune_every_seconds
    if every <= 0 or time.monotonic() < _next or run.in_transaction:
        return
    with _lock:
        if time.monotonic() < _next:
            return
        _next = time.monotonic() + every
    try:
        prune(run.database, run.now())
    except DatabaseError as error:
        known = {"error": type(error).__name__, "sqlstate": sqlstate(error)}
        logger.warning("what is kept could not be pruned", extra=known)
