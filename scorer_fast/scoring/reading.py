"""What a scoring has read, as it is kept for the next one: facts about versions of rows, which stay true."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from ..domain.credentials import Stamp, effective_nullifiers
from ..domain.settled import Settled, settle
from ..settings import conf
from .kept import Keeping, Reading, SettledReading, settled_json, settled_reading
from .plan import Plan, Rules
from .verifier import VERIFIER


def are_wanted(plan: Plan) -> bool:
    """Whether a reading of ``plan`` would be worth keeping, if something of it is news.

    Not where a request posts a stamp more to many that are known: what is kept serves the next request all the
    same, and who only reads will keep the rest. Nor where the stamps were settled: then they were not read.
    """
    row = plan.row
    return conf.keep_readings_days > 0 and row.is_in_full and not (plan.change and row.known * 2 >= len(row.stamps))


def reading_of(plan: Plan, verified: Collection[str]) -> Reading | None:
    """The reading that ``plan`` was decided on, as it is without a write; None where it is not worth keeping.

    That is where nothing of it is news, and where none is wanted.

    ``verified``: digests (hex) that are remembered by now and were not when it was read.
    """
    row = plan.row
    if row.passport_id is None or row.is_kept or not are_wanted(plan):
        return None
    stamps = [_kept(stamp, verified) for stamp in row.stamps if stamp.version is not None]
    stamps.sort()
    equals = sorted(each for each in _staying(plan) if each[2] > 0)
    try:
        return Reading(
            row.passport_id,
            VERIFIER,
            [version for _, _, version, *_ in stamps],
            _json(stamps),
            [version for _, version, _ in equals],
            _json(equals),
            _nullifiers(row.stamps),
            row.generation,
        )
    except TypeError:  # a number beyond 64 bits in one of them
        return None


def keeping_of(plan: Plan, verified: Collection[str], *, rules: Rules, is_whole: bool) -> Keeping | None:
    """What the write of ``plan`` keeps for the next scoring; None where nothing is wanted, or nothing is news.

    ``verified`` and ``is_whole`` as in :func:`reading_of` and :func:`settled_of`.
    """
    row = plan.row
    if not are_wanted(plan) or (row.is_kept and not (plan.change.stamps or plan.new_stamp_keys)):
        return None
    stored = sorted(_kept(stamp, verified) for stamp in row.stamps if stamp.version is not None)
    posted = [_kept(stamp, verified) for stamp in row.stamps if stamp.version is None]
    posted.sort(reverse=True)  # in the order of the payload
    settled = None
    if _settles(plan, verified, is_whole=is_whole) and _writes_all_links(plan, rules):
        settled = settled_json(_settled(plan))._asdict() | {"rules": VERIFIER + rules.of_settling()}
    try:
        return Keeping(
            _json(
                {
                    "verifier": VERIFIER,
                    "live": [version for _, _, version, *_ in stored],
                    "posted": [(_json(provider), _json(rest)[1:-1]) for _, provider, _, *rest in posted],
                    "stored": _staying(plan),
                    "nullifiers": _nullifiers(row.stamps),
                    "generation": row.generation,
                }
            ),
            _json(stored)[1:-1],
            None if settled is None else _json(settled),
        )
    except TypeError:  # a number beyond 64 bits in one of them
        return None


def settled_of(plan: Plan, verified: Collection[str], *, is_whole: bool) -> SettledReading | None:
    """What ``plan`` came to, to be kept where the next scoring will have nothing but its score to write; else None.

    Without a write: what does write, keeps what it comes to itself (:func:`keeping_of`).
    ``is_whole``: whether every stamp could be read, and every signature was good.
    """
    row = plan.row
    if (
        row.passport_id is None
        or row.token is None
        or not (plan.leaves_stamps_and_links and _settles(plan, verified, is_whole=is_whole))
    ):
        return None
    return settled_reading(row.passport_id, row.token, row.generation, _settled(plan))


def _settles(plan: Plan, verified: Collection[str], *, is_whole: bool) -> bool:
    """Whether what ``plan`` comes to can be told again without the stamps."""
    return (
        conf.keep_readings_days > 0
        and is_whole
        and plan.row.is_in_full
        and not plan.dedup.clashes
        and all(stamp.remembered or stamp.digest in verified for stamp in plan.dedup.counting)
    )


def _settled(plan: Plan) -> Settled:
    row = plan.row
    return settle(row.stamps, plan.dedup.counting, now=plan.now, with_marks=row.points is not None)


def _staying(plan: Plan) -> list[tuple[int, str, int]]:
    """Id, version and equal's key of the copies that stay."""
    gone = set(plan.gone_stamp_ids)
    return [
        (stored.id, stored.version, stored.same_as)
        for stored in plan.row.stored_stamps
        if stored.same_as is not None and stored.id not in gone
    ]


def _writes_all_links(plan: Plan, rules: Rules) -> bool:
    """Whether every link that matters is written: others may have changed since they were read."""
    held = {link.hash for link in plan.dedup.new_links} | {link.hash for link in plan.dedup.changed_links}
    return all(
        held.issuperset(effective_nullifiers(stamp.nullifiers, multi=rules.multi_nullifier))
        for stamp in plan.dedup.counting
    )


def _kept(stamp: Stamp, verified: Collection[str]) -> tuple[Any, ...]:
    remembered = stamp.remembered or stamp.digest in verified
    return tuple(stamp._replace(remembered=remembered, text=None if remembered else stamp.text))


def _nullifiers(stamps: Collection[Stamp]) -> list[str]:
    nullifiers: set[str] = set()
    for stamp in stamps:
        listed = stamp.nullifiers if isinstance(stamp.nullifiers, list) else []
        nullifiers |= {name for name in (stamp.hash, *listed) if isinstance(name, str)}
    return sorted(nullifiers)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
