"""Scoring an address: one read, a pure decision, one write, again where the world moved in between.

What eight operations share; each of them says which community, what it changes and what it answers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import orjson
from django.db import Error as DatabaseError

from ..db.connection import Meanwhile, is_contention
from ..domain import credentials, points
from ..errors import Changed, Problem, Refused
from ..settings import conf
from ..telemetry import count, note, step
from . import ahead, context
from . import reading as readings
from . import verify as signatures
from .communities import CommunityKey, find_community
from .expected import show
from .kept import Reading, SettledReading
from .plan import NO_CHANGE, Change, Plan, Rules, decide
from .read import NOTHING_POSTED, Posted, ScoringRow, Written, read_scoring
from .verifier import VERIFIER
from .write import queued, write


class Scored(NamedTuple):
    """A scored address: the plan as it was written, the ids that posted stamps got, in their order, and the answer."""

    plan: Plan
    new_ids: Sequence[int]
    worded: Meanwhile[bytes]

    def answer(self) -> orjson.Fragment:
        """The Score body; points are null outside the points operations and the points program."""
        return orjson.Fragment(self.worded.result())

    def stamps(self) -> str:
        """The live stamps after the request, by id, as JSON; needs a request scored ``with_stamps``."""
        ids = {-place: id_ for place, id_ in enumerate(self.new_ids, start=1)}  # in a rehearsal nothing gets an id
        listed = self.plan.row.listed
        entries = [] if listed is None else [listed[1:-1]]
        entries += [
            orjson.dumps(
                {
                    "id": ids.get(stamp.key, stamp.key),
                    "address": self.plan.address,
                    "provider": stamp.provider,
                    "stamp": orjson.Fragment(stamp.text or "null"),
                }
            ).decode()
            for stamp in sorted(self.plan.row.stamps, key=lambda stamp: credentials.row_order(stamp.key))
            if stamp.key < 0 or listed is None
        ]
        return f"[{','.join(entries)}]"


def score_address(
    address: str,
    community: CommunityKey,
    *,
    missing: Problem,
    with_stamps: bool = False,
    with_points: bool = False,
    change: Change = NO_CHANGE,
    posted: Posted = NOTHING_POSTED,
    require: Callable[[ScoringRow], None] | None = None,
    unless: Callable[[Plan], bool] | None = None,
) -> Scored:
    """Score ``address``, with ``change`` in the same transaction; Refused(``missing``) without such a community.

    ``require`` sees what was read and may refuse; ``unless`` sees the plan and may leave it unwritten.

    Contention of any kind (lost claim, changed rows, deadlock, unique violation) shares one budget of
    attempts; after it Refused(BUSY), with nothing written. The first attempt reads without a lock; later
    ones queue up, for whoever reads unlocked again can lose for ever to those who do so faster.
    """
    community_id: int | None = None
    the_rules = rules()
    question = Meanwhile(lambda: ahead.ask(change.stamps, address=address, rules=the_rules, now=context.now()))
    for attempt in range(1, conf.write_attempts + 1):
        reverify = signatures.is_sampled()
        try:
            with nullcontext() if community_id is None else queued(conf.database, address, community_id):
                row = _read(
                    address,
                    community,
                    settling=None if reverify else the_rules.of_settling(),
                    reverify=reverify,
                    listed=with_stamps,
                    posted=posted,
                    meanwhile=question,
                )
                if row is None:
                    raise Refused(missing)
                if require is not None:
                    require(row)
                context.reads_are_taken()
                community_id = row.community_id
                plan, found = _decide(row, address, change, the_rules, reverify=reverify, question=question.result())
                worded = Meanwhile(partial(_worded, plan, with_points=with_points))
                written = None
                try:
                    if unless is None or not unless(plan):
                        written = _write(plan, found, the_rules, worded)
                except Exception:
                    # Not in a transaction: rows inserted there would be locked while this request waits in the queue,
                    # and whoever is before it there may insert the same ones.
                    if not signatures.in_transaction(conf.database):
                        _keep(plan, found, None)
                    raise
                _keep(plan, found, written)
            return Scored(plan, () if written is None else written.ids, worded)
        except Changed:
            count("writes.retried")
        except DatabaseError as error:
            if not is_contention(error):
                raise
            count("writes.retried")
        if attempt < conf.write_attempts:
            _pause(attempt)
    raise Refused(Problem.BUSY)


def require_community(community: CommunityKey, missing: Problem) -> None:
    """Refused(``missing``) without such a community: for requests that end before anything is scored."""
    with step("read"):
        found = context.read(lambda: find_community(conf.database, community))
    if found is None:
        raise Refused(missing)


def _read(
    address: str,
    community: CommunityKey,
    *,
    settling: str | None,
    reverify: bool,
    listed: bool,
    posted: Posted,
    meanwhile: Meanwhile[Any] | None = None,
) -> ScoringRow | None:
    def read(rules: str | None) -> ScoringRow | None:
        return read_scoring(
            conf.database,
            community,
            address,
            verifier=VERIFIER,
            rules=rules,
            now=context.now(),
            in_full=not context.is_live(),  # a rehearsal compares every row that the host writes
            points=conf.human_points_enabled,
            reverify=reverify,
            listed=listed,
            posted=posted,
            meanwhile=meanwhile,
        )

    def read_enough() -> ScoringRow | None:
        row = read(settling)
        return read(None) if row is not None and row.needs_full(address) else row

    with step("read"):
        return context.read(read_enough)


class Found(NamedTuple):
    """What became of the stamps that were read: their signatures, and whether every one could be read and is good."""

    checked: signatures.Checked
    is_whole: bool

    @property
    def verified(self) -> set[str]:
        """Digests (hex) of what will be remembered and was not."""
        return {stamp.digest for stamp in self.checked.new}


def _decide(
    row: ScoringRow, address: str, change: Change, the_rules: Rules, *, reverify: bool, question: ahead.Ahead | None
) -> tuple[Plan, Found]:
    now = context.now()
    reading = credentials.read_stamps(
        row.stamps,
        address=address,
        trusted_issuers=the_rules.trusted_issuers,
        now=now,
        multi=the_rules.multi_nullifier,
    )
    signatures.log_unreadable(reading.unreadable)
    settled_count = 0 if row.is_in_full or row.settled is None else len(row.settled.counting)
    if settled_count:
        count("signatures.remembered", settled_count)
    with step("verify"):
        checked = signatures.check(reading.candidates, reverify=reverify, ahead=question)
    with step("decide"):
        plan = decide(row, checked.good, address=address, now=now, rules=the_rules, change=change)
    note(
        address=address,
        scorer_id=row.community_id,
        stamp_count=row.stamp_count,
        valid_count=len(checked.good) + settled_count,
        deduped_count=len(plan.dedup.clashes),
    )
    return plan, Found(checked, not reading.unreadable and len(checked.good) == len(reading.candidates))


def rules() -> Rules:
    """The rules of the settings as they are now."""
    return Rules(conf.trusted_issuers, conf.multi_nullifier, conf.human_points_start, conf.human_points_mta_enabled)


def _worded(plan: Plan, *, with_points: bool) -> bytes:
    answer = plan.answer()
    if with_points:
        answer |= points.both(plan.points)
    return orjson.dumps(answer)


def _write(plan: Plan, found: Found, the_rules: Rules, meanwhile: Meanwhile[Any]) -> Written | None:
    deciding = context.deciding_now()
    if deciding is not None:
        show(plan, deciding)
        return None
    with step("write"):
        keeping = None
        if not (plan.touches_only_the_score or signatures.in_transaction(conf.database)):
            keeping = readings.keeping_of(plan, found.verified, rules=the_rules, is_whole=found.is_whole)
        return write(conf.database, plan, found.checked.new, keeping=keeping, meanwhile=meanwhile)


def _keep(plan: Plan, found: Found, written: Written | None) -> None:
    """Remember what this request found out, for the next one, and what was not ``written`` with the score."""
    if not context.is_live():
        return
    kept: list[Reading] = []
    settled: list[SettledReading] = []
    if written is not None and written.not_remembered is not None:
        signatures.log_not_remembered("DatabaseError", written.not_remembered)
    if written is None and not signatures.in_transaction(conf.database):
        reading = readings.reading_of(plan, found.verified)
        kept = [] if reading is None else [reading]
        one = readings.settled_of(plan, found.verified, is_whole=found.is_whole)
        settled = [] if one is None else [one]
    signatures.keep(found.checked, plan.now, kept, settled, are_written=written is not None)


def _pause(attempt: int) -> None:
    """Up to 5, 20, 80, 320 ms, and half of it at least: a host's scoring, which claims one by one, lasts that long.

    At random, for those who collided shall not meet again.
    """
    time.sleep(random.uniform(0.5, 1) * 0.005 * 4 ** (attempt - 1))
