"""What a scoring has read, as it is kept for the next one: facts about versions of rows, which stay true."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from ..conf import conf
from ..domain.credentials import effective_nullifiers
from ..domain.settled import settle
from ..sql.kept import Reading, SettledReading, settled_reading, token_of
from ..sql.scoring import Written
from .plan import Plan, Rules
from .verifier import VERIFIER


def are_wanted(plan: Plan) -> bool:
    """Whether a reading of ``plan`` would be worth keeping, if something of it is news.

    Not where a request posts a stamp more to many that are known: what is kept serves the next request all the
    same, and who only reads will keep the rest. Nor where the stamps were settled: then they were not read.
    """
    row = plan.row
    return conf.keep_readings_days > 0 and row.is_in_full and not (plan.change and row.known * 2 >= len(row.stamps))


def reading_of(plan: Plan, written: Written | None, verified: Collection[str]) -> Reading | None:
    """The reading that ``plan`` was decided on, with what was ``written`` on top; None where it is not worth keeping.

    That is where nothing of it is news, and where none is wanted. What was written has to come with its versions.

    ``verified``: digests (hex) that are remembered by now and were not when it was read.
    """
    row = plan.row
    passport_id = row.passport_id if written is None else written.passport_id
    if passport_id is None or not are_wanted(plan):
        return None
    if row.is_kept and (written is None or not (written.ids or written.copies)):
        return None
    new = {} if written is None else {-place: each for place, each in enumerate(zip(*written[1:3], strict=True), 1)}
    stamps: list[tuple[Any, ...]] = []
    nullifiers: set[str] = set()
    for stamp in row.stamps:
        key, version = new.get(stamp.key, (stamp.key, stamp.version))
        if version is None:  # posted, and not stored
            continue
        remembered = stamp.remembered or stamp.digest in verified
        text = None if remembered else stamp.text
        stamps.append(tuple(stamp._replace(key=key, version=version, remembered=remembered, text=text)))
        listed = stamp.nullifiers if isinstance(stamp.nullifiers, list) else []
        nullifiers |= {name for name in (stamp.hash, *listed) if isinstance(name, str)}
    gone = set(plan.gone_stamp_ids)
    equals = [] if written is None else [(id_of(version), version, key) for version, key in written.copies]
    for stored in row.stored_stamps:
        if stored.same_as is not None and stored.id not in gone:
            key = new[stored.same_as][0] if stored.same_as in new else stored.same_as
            equals.append((stored.id, stored.version, key))
    stamps.sort()
    equals.sort()
    try:
        return Reading(
            passport_id,
            VERIFIER,
            [version for _, _, version, *_ in stamps],
            orjson.dumps(stamps).decode(),
            [version for _, version, _ in equals],
            orjson.dumps(equals).decode(),
            sorted(nullifiers),
            row.generation,
        )
    except TypeError:  # a number beyond 64 bits in one of them
        return None


def settled_of(
    plan: Plan,
    written: Written | None,
    verified: Collection[str],
    *,
    rules: Rules,
    reading: Reading | None,
    is_whole: bool,
) -> SettledReading | None:
    """What ``plan`` came to, to be kept where the next scoring will have nothing but its score to write; else None.

    ``reading``: what :func:`reading_of` made of the same. ``is_whole``: whether every stamp could be read, and every
    signature was good.
    """
    row, counting = plan.row, plan.dedup.counting
    if (
        conf.keep_readings_days <= 0
        or not (is_whole and row.is_in_full)
        or plan.dedup.clashes
        or not all(stamp.remembered or stamp.digest in verified for stamp in counting)
    ):
        return None
    if written is None:
        passport_id, token = row.passport_id, row.token if plan.leaves_stamps_and_links else None
    else:
        passport_id, token = written.passport_id, _token_of(plan, written, rules, reading)
    if passport_id is None or token is None:
        return None
    settled = settle(row.stamps, counting, now=plan.now, with_marks=row.points is not None)
    return settled_reading(passport_id, token, row.generation, settled)


def _token_of(plan: Plan, written: Written, rules: Rules, reading: Reading | None) -> str | None:
    """The token of what was written; None where not every link that matters was: others may have changed since."""
    if reading is None or written.links is None:
        return None
    held = {link.hash for link in plan.dedup.new_links} | {link.hash for link in plan.dedup.changed_links}
    for stamp in plan.dedup.counting:
        if not held.issuperset(effective_nullifiers(stamp.nullifiers, multi=rules.multi_nullifier)):
            return None
    return token_of(VERIFIER + rules.of_settling(), reading.live_versions, reading.stored_versions, written.links)


def id_of(version: str) -> int:
    """The row's id in a version, ``id,xmin,ctid``."""
    return int(version.partition(",")[0])
