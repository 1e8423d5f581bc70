"""What is remembered of earlier requests: signatures that were good, and readings (see db/functions.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from ..db.connection import fetch_one, run
from ..domain.settled import Mark, Settled


class Reading(NamedTuple):
    """A row of scorer_fast_keptreading, versions by id; ``stamps`` and ``stored_stamps`` as JSON text.

    ``generation``: that in which it was read which signatures are remembered.
    """

    passport_id: int
    verifier: str
    live_versions: Sequence[str]
    stamps: str
    stored_versions: Sequence[str]
    stored_stamps: str
    nullifiers: Sequence[str]
    generation: str


class SettledReading(NamedTuple):
    """A row of scorer_fast_settledreading; ``token`` in hex, ``reading`` as :func:`settled_json` writes it."""

    passport_id: int
    token: str
    generation: str
    valid_from: str
    valid_until: str
    has_marks: bool
    reading: str


class Keeping(NamedTuple):
    """What a write keeps, with the ids and versions that it gives; JSON text each.

    ``reading``: {verifier, live: versions of the stored stamps, posted: [[provider, what follows the version]] as JSON
    text each, stored: [[id, version, key]] of the copies that stay, nullifiers, generation}. ``stamps``: those of the
    stored ones, without the brackets. ``settled``: {rules, valid_from, valid_until, has_marks, reading}, or None.
    """

    reading: str
    stamps: str
    settled: str | None


class SettledJson(NamedTuple):
    """What stamps came to as text, with the time for which it holds."""

    valid_from: str
    valid_until: str
    has_marks: bool
    reading: str


def settled_json(settled: Settled) -> SettledJson:
    """``settled`` as it is kept."""
    since, until = _iso(settled.since), _iso(settled.expires_at)
    return SettledJson(
        since or "-infinity",
        until or "infinity",
        settled.marks is not None,
        orjson.dumps([settled.stamp_count, since, until, settled.counting, settled.marks], default=tuple).decode(),
    )


def settled_reading(passport_id: int, token: str, generation: str, settled: Settled) -> SettledReading:
    """The row of ``settled``."""
    return SettledReading(passport_id, token, generation, *settled_json(settled))


def read_settled(text: str) -> Settled:
    """What :func:`settled_json` wrote."""
    stamp_count, since, until, counting, marks = orjson.loads(text)
    return Settled(
        stamp_count,
        None if since is None else datetime.fromisoformat(since),
        None if until is None else datetime.fromisoformat(until),
        counting,
        None if marks is None else [Mark._make(mark) for mark in marks],
    )


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


class Signature(NamedTuple):
    """A good signature: the digest (hex) of what was verified, and when its credential expires."""

    digest: str
    expires_at: datetime


def signatures_json(signatures: Iterable[Signature]) -> str:
    """Each signature once, as the functions that remember it take them: [[digest, expiry]]."""
    return orjson.dumps(list(dict(signatures).items())).decode()


REMEMBER = """
-- remembers signatures and readings; see db/functions.py
SELECT scorer_fast_remember_1(
    %(verified)s::jsonb, %(readings)s::jsonb, %(settled)s::jsonb, %(now)s::timestamptz, %(awaited)s::boolean)
"""


def remember(
    alias: str,
    signatures: Iterable[Signature],
    readings: Iterable[Reading],
    settled: Iterable[SettledReading],
    now: datetime,
    *,
    awaited: bool,
) -> None:
    """Remember them all. Not ``awaited`` (in autocommit only): answered before it is on disk."""
    fetch_one(
        alias,
        REMEMBER,
        {
            "verified": signatures_json(signatures),
            "readings": orjson.dumps([reading._asdict() for reading in readings]).decode(),
            "settled": orjson.dumps([each._asdict() for each in settled]).decode(),
            "now": now,
            "awaited": awaited,
        },
    )


# An array, for a subquery behind IN may be run again for every row, and pick another batch each time.
DELETE_KEPT = """
-- forgets readings kept before a time, a batch at a time; scorer_fast_keptreading (kept_at)
DELETE FROM scorer_fast_keptreading AS k
WHERE k.passport_id = ANY (ARRAY(
    SELECT o.passport_id
    FROM scorer_fast_keptreading AS o
    WHERE o.kept_at < %(before)s
    ORDER BY o.kept_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
))
"""


def delete_kept(alias: str, before: datetime, batch: int = 1000) -> int:
    """Forget at most ``batch`` readings kept before that time; how many went."""
    return run(alias, DELETE_KEPT, {"before": before, "batch": batch})


DELETE_SETTLED = """
-- forgets settled readings kept before a time, a batch at a time; scorer_fast_settledreading (kept_at)
DELETE FROM scorer_fast_settledreading AS s
WHERE s.passport_id = ANY (ARRAY(
    SELECT o.passport_id
    FROM scorer_fast_settledreading AS o
    WHERE o.kept_at < %(before)s
    ORDER BY o.kept_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
))
"""


def delete_settled(alias: str, before: datetime, batch: int = 1000) -> int:
    """Forget at most ``batch`` settled readings kept before that time; how many went."""
    return run(alias, DELETE_SETTLED, {"before": before, "batch": batch})
