"""Scoring an address, for the operations that do: read, decide, write, again where the world moved in between.

    outcome = answer(run, question)

Shadow calls :func:`read` and :func:`decide` by itself, with the host's view in between, and never :func:`write`.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import orjson
from django.db import Error as DatabaseError

from .. import linked, revision
from ..db.communities import CommunityKey, find_community
from ..db.connection import is_contention
from ..domain import credentials, points
from ..errors import Changed, Problem, Refused
from ..run import Run
from ..settings import conf
from ..telemetry import count, note, step
from . import verify
from .plan import NO_CHANGE, Change, Plan, Rules
from .plan import decide as plan_of
from .read import ScoringRow, Wanted, read_scoring
from .reading import prune_when_due
from .signals import announce
from .verify import Checked
from .write import attempt
from .write import write as write_plan


@dataclass(frozen=True, slots=True)
class Question:
    """What an operation asks: score ``address`` for ``community``.

    ``address``: lower-cased; None: the one given is none, which is told after a community that is ``missing``, and as
    ``refused``. ``change``: what happens to the stamps first. ``instead``: a look that may answer without scoring.
    ``missing_first``: what is told before a missing community, if anything. ``must_replace``: refuse where the change
    takes no stamp away. ``with_stamps``: the live stamps are answered. ``with_points``: points are.
    """

    address: str | None
    community: CommunityKey
    missing: Problem
    refused: Problem = Problem.INVALID_ADDRESS
    change: Change = NO_CHANGE
    instead: Callable[[Run], Found | None] | None = None
    missing_first: Callable[[Run], None] | None = None
    must_replace: bool = False
    with_stamps: bool = False
    with_points: bool = False


class Found(NamedTuple):
    """An answer that needed no scoring."""

    body: Any

    def answer(self) -> Any:
        """The Score body."""
        return self.body

    def stamps(self) -> str:
        """The live stamps, by id, as JSON."""
        return str(self.body)


@dataclass(frozen=True, slots=True)
class Decided:
    """A decided scoring, as it will be or was written; ``new_ids``: those that posted stamps got, in their order."""

    plan: Plan
    checked: Checked
    with_points: bool = False
    new_ids: Sequence[int] = field(default=())

    def answer(self) -> dict[str, Any]:
        """The Score body; points are null outside the points operations and the points program."""
        facts = revision.current()
        shown = points.both(self.plan.points) if self.with_points and facts.shows_fresh_points else {}
        return {**self.plan.answer(), **shown, **facts.score_extra}

    def stamps(self) -> str:
        """The live stamps after the request, by id, as JSON; needs a question ``with_stamps``. In shadow a posted one
        has no id yet: its place, negative.
        """
        listed = (self.plan.row.listed or "[]")[1:-1]
        entries = [listed] if listed else []
        for place, posted in enumerate(self.plan.change.posted, start=1):
            entry = {
                "id": self.new_ids[place - 1] if self.new_ids else -place,
                "address": self.plan.address,
                "provider": posted.stamp.provider,
                "stamp": orjson.Fragment(posted.stamp.text or "null"),
            }
            entries.append(orjson.dumps(entry).decode())
        return f"[{','.join(entries)}]"


def answer(run: Run, question: Question) -> Found | Decided:
    """Score, in one transaction with everything that changes by it.

    Contention of any kind (lost claim, changed rows, deadlock, unique violation) shares one budget of attempts; after
    it Refused(BUSY), with nothing written. The first attempt reads without a lock; later ones queue up, for whoever
    reads unlocked again can lose for ever to those who do so faster.
    """
    community_id: int | None = None
    for number in range(1, conf.write_attempts + 1):
        run.deadline.check(f"attempt {number} to score {question.address}")
        try:
            with attempt(run, question.address or "", community_id):
                row = read(run, question)
                if isinstance(row, Found):
                    return row
                community_id = row.community_id
                decided = decide(run, question, row)
                outcome = write(run, decided)
            prune_when_due(run)
            return outcome
        except Changed:
            count("writes.retried")
        except DatabaseError as error:
            if not is_contention(error):
                raise
            count("writes.retried")
        if number < conf.write_attempts:
            _pause(number)
    raise Refused(Problem.BUSY)


def read(run: Run, question: Question) -> ScoringRow | Found:
    """What deciding needs; Refused where there is nothing to decide."""
    with step("read"):
        if question.instead is not None:
            found = question.instead(run)
            if found is not None:
                return found
            if question.address is not None:
                linked.require_alone(question.address)
        if question.address is None:
            community_id = find_community(run.database, question.community)
            raise Refused(question.missing if community_id is None else question.refused)
        wanted = Wanted(
            points=revision.current().awards_points,
            texts=run.is_live and verify.is_sampled(),
            listed=question.with_stamps,
            replaced=question.change.replaced,
            posted=[posted.stamp for posted in question.change.posted],
        )
        row = read_scoring(run.database, question.community, question.address, wanted)
        if row is None:
            if question.missing_first is not None:
                question.missing_first(run)
            raise Refused(question.missing)
        if question.must_replace and not row.is_replacing:
            raise Refused(Problem.NO_STAMP_TO_DELETE)
        return row


def decide(run: Run, question: Question, row: ScoringRow | Found) -> Found | Decided:
    """What becomes of it; touches no row. Asks the verifier about signatures that nobody remembers."""
    if isinstance(row, Found):
        return row
    assert question.address is not None  # else nothing was read
    plan, checked = decide_row(run, row, question.address, rules(), question.change)
    return Decided(plan, checked, question.with_points)


def decide_row(
    run: Run, row: ScoringRow, address: str, rules: Rules, change: Change = NO_CHANGE
) -> tuple[Plan, Checked]:
    """The plan of an address that was read, and what was found out of its signatures."""
    now = run.now()
    reading = credentials.read_stamps(
        row.stamps, address=address, trusted_issuers=rules.trusted_issuers, now=now, multi=rules.multi_nullifier
    )
    verify.log_unreadable(reading.unreadable)
    with step("verify"):
        checked = verify.check(run, reading.candidates, reverify=row.has_texts)
    with step("decide"):
        plan = plan_of(row, checked.good, address=address, now=now, rules=rules, change=change)
    note(
        address=address,
        scorer_id=row.community_id,
        stamp_count=len(row.stamps),
        valid_count=len(checked.good),
        deduped_count=len(plan.dedup.clashes),
    )
    return plan, checked


def write(run: Run, decided: Found | Decided) -> Found | Decided:
    """Write what was decided; the same, with the ids that posted stamps got."""
    if isinstance(decided, Found):
        return decided
    with step("write"):
        written = write_plan(run, decided.plan, decided.checked)
    announce(run.database, decided.plan)
    awarded = Counter(row.action for row in decided.plan.awards.rows)
    note(**{f"points_{action}": number for action, number in awarded.items()})
    return replace(decided, new_ids=written.new_ids)


def rules() -> Rules:
    """The rules of the settings as they are now."""
    return Rules(conf.trusted_issuers, conf.multi_nullifier, conf.human_points_start, conf.human_points_mta_enabled)


def _pause(number: int) -> None:
    """Up to 5, 20, 80, 320 ms, and half of it at least: a host's scoring, which claims one by one, lasts that long.

    At random, for those who collided shall not meet again.
    """
    time.sleep(random.uniform(0.5, 1) * 0.005 * 4 ** (number - 1))
