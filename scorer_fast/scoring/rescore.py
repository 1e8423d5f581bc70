"""Bulk rescoring: every address of a community anew, a batch at a time, by the same decisions as one by one.

Invariant: a batch leaves what scoring its addresses one after the other by passport id would leave, or, for
an address that somebody else touched in between, nothing: that one is scored alone afterwards. Each step is
one transaction that holds the lock of its batch's row, so a process that dies takes no work with it, and no
two processes do the same work. The lock order within a step is that of ``scoring/write.py``.
"""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import DatabaseError, connections, transaction

from ..db.connection import is_contention, is_lost
from ..domain import credentials
from ..domain.credentials import Valid
from ..domain.dedup import Link, NewLink
from ..domain.points import METAMASK, METAMASK_LIMIT
from ..domain.weights import Weights, weights_of
from ..errors import Changed, Problem, Refused, VerifierDown
from ..settings import conf
from ..telemetry import count
from . import rescore_batch as sql
from . import rescore_runs as runs
from . import verify as signatures
from .communities import BIGINT, CommunityKey
from .kept import Reading, SettledReading
from .plan import Plan, Rules, decide
from .read import ScoringRow
from .reading import reading_of, settled_of
from .rescore_batch import AddressRow, AwardWrite, CommunityRow, MovedLink, ScoreOfPassport, StoredEvidence
from .rescore_runs import BatchRow, FailureRow, RunRow
from .service import rules, score_address
from .turns import GivenUp, Turn, Turns
from .verifier import VERIFIER

logger = logging.getLogger("scorer_fast.rescore")

ROUNDS = 3  # of a batch, before its addresses are scored one by one
ALONE_TRIES = 10  # transactions that may try one address, each with an attempt budget of its own
POLL_SECONDS = 0.5  # between two looks at what other processes still work on
MAX_BATCH = 1000  # addresses that may be locked at once


class CannotRescore(Exception):
    """The run cannot begin or go on; the text says why and what to do."""


class Stale(Changed):
    """Scores that were locked, changed or gone when a batch was written; nothing of it was."""

    def __init__(self, passport_ids: Collection[int]) -> None:
        super().__init__(f"{len(passport_ids)} changed")
        self.passport_ids = frozenset(passport_ids)


class Step(NamedTuple):
    """How many addresses one step of a run ended with."""

    scored: int = 0
    unchanged: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return sum(self)


# ---- a run


def begin(scorer_id: int, *, only_changed: bool, size: int | None = None, restart: bool = False) -> RunRow:
    """The community's unfinished run, else a new one; ``size`` is that of a new run's batches.

    ``restart`` ends an unfinished run as it is and begins a new one.
    """
    alias = conf.database
    require_community(scorer_id)
    with transaction.atomic(using=alias):
        now = datetime.now(UTC)
        if restart:
            for newest in runs.list_runs(alias, scorer_id, 1):
                if newest.finished_at is None:
                    runs.abandon_run(alias, newest.id, now)
        # Where another process begins one at this moment, this waits for it and then takes part in its run.
        run_id = runs.insert_run(alias, scorer_id, only_changed=only_changed, size=_batch_size(size), now=now)
    run = runs.get_run(alias, run_id) if run_id is not None else runs.list_runs(alias, scorer_id, 1)[0]
    if run is None:
        raise CannotRescore("The run was removed as it began. Start it again.")
    if run.only_changed != only_changed:
        given = "with" if run.only_changed else "without"
        raise CannotRescore(
            f"A run of scorer {scorer_id} that began {run.started_at:%Y-%m-%d %H:%M} {given} --only-changed is not "
            f"finished. Go on with it ({given} --only-changed), or begin anew with --restart."
        )
    return run


def require_community(scorer_id: int) -> runs.Community:
    """The community to rescore; CannotRescore where there is none, or none with weights."""
    found = runs.get_community(conf.database, scorer_id) if abs(scorer_id) <= BIGINT else None
    if found is None:
        raise CannotRescore(f"There is no scorer {scorer_id} (the id of a community).")
    if not found.has_threshold:
        raise CannotRescore(f"Community {scorer_id} has no scorer with weights and a threshold.")
    return found


def _batch_size(size: int | None) -> int:
    """At most what may be locked at once, and under a throttle at most a second's worth."""
    size = min(max(size or conf.rescore_batch, 1), MAX_BATCH)
    rate = conf.rescore_addresses_per_second
    return min(size, max(int(rate), 1)) if rate > 0 else size


def work(run: RunRow, report: Callable[[Step], None]) -> RunRow:
    """Take part in ``run`` until all of it is done, by whomever; the run as it ended.

    A helper reads and decides one batch while another is written, on a connection of its own: not under a throttle, nor
    inside a transaction of the caller. ``report`` is called by one thread at a time.
    CannotRescore where the database or didkit is lost: what was done stays done, and the run can go on.
    """
    alias = conf.database
    crew = Crew(Worker(alias, run), report)
    is_alone = conf.rescore_addresses_per_second > 0 or signatures.in_transaction(alias)
    with _loaded_objects_left_alone():
        if is_alone:
            crew.take_part()
        else:
            crew.take_part_with_helper()
        while True:
            current = _finished(alias, run)
            if current is not None:
                return current
            report(Step())
            time.sleep(POLL_SECONDS)
            crew.take_part()


@contextmanager
def _loaded_objects_left_alone() -> Iterator[None]:
    """Python's garbage collector does not look through what was there before: a fifth of a batch's CPU time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _said_how_to_go_on() -> Iterator[None]:
    try:
        yield
    except VerifierDown as error:
        raise CannotRescore(f"{error}. The same command goes on where this run stopped.") from error
    except DatabaseError as error:
        raise CannotRescore(
            f"The database failed ({str(error).strip()}). The same command goes on where this run stopped."
        ) from error


def _finished(alias: str, run: RunRow) -> RunRow | None:
    """The run as it ended; None while others work on it."""
    with _said_how_to_go_on():
        while True:
            try:
                with transaction.atomic(using=alias):
                    runs.finish_run(alias, run.id, datetime.now(UTC))
                current = runs.get_run(alias, run.id)
            except DatabaseError as error:
                if not is_contention(error):
                    raise
                _pause()
                continue
            if current is None:
                return run
            return current if current.finished_at is not None else None


class Crew:
    """The threads of this process that take part in a run."""

    def __init__(self, worker: Worker, report: Callable[[Step], None]) -> None:
        self._worker = worker
        self._report = report
        self._reporting = threading.Lock()
        self._stop = threading.Event()
        self._pace = Pace()

    def take_part(self) -> None:
        """Take one step after the other until nothing is free."""
        with _said_how_to_go_on():
            while not self._stop.is_set():
                try:
                    step = self._worker.step()
                except DatabaseError as error:
                    if not is_contention(error):
                        raise
                    _pause()
                    continue
                if step is None:
                    return
                with self._reporting:
                    self._report(step)
                self._pace.wait(step.done)

    def take_part_with_helper(self) -> None:
        """The same with a second thread, which ends no later; what stopped it is raised here."""
        with ThreadPoolExecutor(1, thread_name_prefix="scorer_fast rescore") as helpers:
            helper = helpers.submit(self._help)
            try:
                self.take_part()
                helper.result()
            except BaseException:
                self._stop.set()
                self._worker.turns.give_up()
                raise

    def _help(self) -> None:
        try:
            self.take_part()
        except BaseException:
            self._stop.set()
            raise
        finally:
            connections[self._worker.alias].close()


class Pace:
    """Keeps one process at ``RESCORE_ADDRESSES_PER_SECOND``; time lost elsewhere is not made up for."""

    def __init__(self) -> None:
        self._due = time.monotonic()

    def wait(self, addresses: int) -> None:
        """Sleep as long as ``addresses`` may take beyond what they took."""
        rate = conf.rescore_addresses_per_second
        if rate <= 0:
            return
        self._due += addresses / rate
        left = self._due - time.monotonic()
        if left > 0:
            time.sleep(left)
        else:
            self._due -= left


def _pause() -> None:
    """Up to 50 ms, at random: those who collided do not meet again."""
    time.sleep(random.random() * 0.05)


# ---- one step


@dataclass(slots=True)
class Outcome:
    """What became of a batch: counts, failures, passports left to be scored alone, signatures that are news."""

    scored: int = 0
    unchanged: int = 0
    failures: list[FailureRow] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    checked: signatures.Checked = signatures.NOTHING_CHECKED
    plans: list[Plan] = field(default_factory=list)
    moved: bool = False  # whether what was read of other addresses may be different now
    touches_only_scores: bool = False
    whole: frozenset[int | None] = frozenset()  # passports all of whose stamps could be read, with good signatures

    def step(self) -> Step:
        return Step(self.scored, self.unchanged, len(self.failures))


class Worker:
    """One process's part in a run."""

    def __init__(self, alias: str, run: RunRow) -> None:
        self.alias = alias
        self.run = run
        self._tries: dict[int, int] = {}
        self.turns = Turns()

    def step(self) -> Step | None:
        """Score the next batch, or the next address of one that fell apart; None when nothing is free."""
        turn: Turn | None = None
        outcome = Outcome()
        try:
            with transaction.atomic(using=self.alias):
                taken = self.turns.take(lambda: runs.claim_batch(self.alias, self.run.id))
                if taken is None:
                    return None
                batch, turn = taken
                outcome = self._together(batch, turn) if batch.together else self._alone(batch, turn)
                self._record(batch, outcome)
        finally:
            if turn is not None:
                turn.end(moved=outcome.moved or not batch.together)
        for failure in outcome.failures:
            logger.error(
                "an address could not be rescored: %s",
                failure.error,
                extra={"address": failure.address, "scorer_id": self.run.community_id},
            )
        self._keep(outcome)
        step = outcome.step()
        if not step.done:
            _pause()
        return step

    def _record(self, batch: BatchRow, outcome: Outcome) -> None:
        if outcome.failures:
            runs.insert_failures(self.alias, self.run.id, outcome.failures)
        runs.record_batch(
            self.alias,
            batch.id,
            outcome.left,
            scored=outcome.scored,
            unchanged=outcome.unchanged,
            failed=len(outcome.failures),
            # A crash of the server takes the last second's batches with the note that they are done.
            awaited=conf.await_rescores or not outcome.touches_only_scores,
        )

    def _keep(self, outcome: Outcome) -> None:
        verified = {stamp.digest for stamp in outcome.checked.new}
        readings: list[Reading] = []
        settled: list[SettledReading] = []
        for plan in outcome.plans:
            if plan.row.is_in_full:
                reading = reading_of(plan, verified)
                if reading is not None:
                    readings.append(reading)
                is_whole = plan.row.passport_id in outcome.whole
                one = settled_of(plan, verified, is_whole=is_whole)
                if one is not None:
                    settled.append(one)
        signatures.keep(outcome.checked, datetime.now(UTC), readings, settled)

    def _together(self, batch: BatchRow, turn: Turn) -> Outcome:
        """All of the batch in one write; what must be scored alone is left."""
        for _ in range(ROUNDS):
            try:
                with transaction.atomic(using=self.alias):
                    return self._score_batch(batch, turn)
            except Changed:
                count("writes.retried")
            except (VerifierDown, GivenUp):
                raise
            except DatabaseError as error:
                if is_lost(error):
                    raise
                if not is_contention(error):
                    logger.warning("a batch is scored one by one: %s", str(error).strip())
                    break
                count("writes.retried")
            except Exception as error:  # whatever it is, it is one address's: the others shall not suffer
                logger.warning("a batch is scored one by one: %r", error)
                break
            _pause()
        return Outcome(left=batch.passport_ids)

    def _score_batch(self, batch: BatchRow, turn: Turn) -> Outcome:
        read = self._read(batch)
        writes = self._decide(read)
        if not turn.comes():
            read = self._read(batch)
            writes = self._decide(read)
        left: set[int] = set()
        for _ in range(ROUNDS):
            try:
                write_batch(self.alias, self.run.community_id, writes, read.now)
            except Stale as stale:
                count("writes.retried", len(stale.passport_ids))
                left |= stale.passport_ids
                writes = self._decide(read, left)
                continue
            decided = writes.decided
            return Outcome(
                scored=len(decided.plans),
                unchanged=len(decided.unchanged) + read.gone,
                failures=read.failures + decided.failures,
                left=sorted(left),
                checked=read.checked,
                plans=[*decided.plans, *decided.unchanged],
                whole=frozenset(member.passport_id for member in read.members if member.is_whole),
                moved=decided.moves_others,
                touches_only_scores=not (decided.moves_others or writes.gone or writes.new),
            )
        raise Changed

    def _read(self, batch: BatchRow) -> BatchRead:
        sampled = [passport_id for passport_id in batch.passport_ids if signatures.is_sampled()]
        now = datetime.now(UTC)
        the_rules = rules()
        community, rows = sql.read_addresses(
            self.alias,
            self.run.community_id,
            batch.passport_ids,
            verifier=VERIFIER,
            rules=the_rules.of_settling(),
            now=now,
            points=conf.human_points_enabled,
            with_text=sampled,
            with_stored=self.run.only_changed,
        )
        members: list[Member] = []
        failures: list[FailureRow] = []
        if community is not None:
            members, failures = read_members(rows, community, rules=the_rules, now=now)
        checked = _check_signatures(members, frozenset(sampled))
        return BatchRead(now, the_rules, members, failures, checked, gone=len(batch.passport_ids) - len(rows))

    def _decide(self, read: BatchRead, left: Collection[int] = ()) -> Writes:
        """What is to be written of what was read, but for the passports that are ``left``."""
        return writes_of(
            decide_in_order(
                [member for member in read.members if member.passport_id not in left],
                now=read.now,
                rules=read.rules,
                only_changed=self.run.only_changed,
            )
        )

    def _alone(self, batch: BatchRow, turn: Turn) -> Outcome:
        """The first of the batch's addresses, as a request would score it."""
        turn.comes()
        passport_id, *left = batch.passport_ids
        address = runs.get_address(self.alias, passport_id)
        if address is None:
            return Outcome(unchanged=1, left=left)
        was_unchanged = False

        def leave_unchanged(plan: Plan) -> bool:
            nonlocal was_unchanged
            was_unchanged = self._is_unchanged_still(plan)
            return was_unchanged

        try:
            with transaction.atomic(using=self.alias):
                score_address(
                    address,
                    CommunityKey(self.run.community_id, external=False),
                    missing=Problem.NO_COMMUNITY,
                    unless=leave_unchanged if self.run.only_changed else None,
                )
        except VerifierDown:
            raise
        except Exception as error:
            if isinstance(error, DatabaseError) and is_lost(error):
                raise
            if isinstance(error, Refused) and error.problem is Problem.BUSY:
                tries = self._tries[passport_id] = self._tries.get(passport_id, 0) + 1
                if tries < ALONE_TRIES:
                    return Outcome(left=[*left, passport_id])
            return Outcome(failures=[FailureRow(passport_id, address, _said(error))], left=left)
        return Outcome(scored=int(not was_unchanged), unchanged=int(was_unchanged), left=left)

    def _is_unchanged_still(self, plan: Plan) -> bool:
        if plan.row.passport_id is None:
            return False
        found = sql.get_stored_evidence(self.alias, plan.row.passport_id)
        return found is not None and found[0] == plan.row.seen.last_score_timestamp and is_unchanged(plan, found[1])


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500].replace("\0", "")


# ---- reading


@dataclass(slots=True)
class Member:
    """One address of a batch: what was read of it, its readable stamps, and those of them with a good signature."""

    passport_id: int
    address: str
    row: ScoringRow
    stored: StoredEvidence | None
    metamask_awards: int
    candidates: tuple[Valid, ...]
    is_readable: bool
    signed: tuple[Valid, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every stamp could be read, and every signature is good."""
        return self.is_readable and len(self.signed) == len(self.candidates)


class BatchRead(NamedTuple):
    """A batch as it was read at ``now``; ``gone``: how many of its passports are no longer there."""

    now: datetime
    rules: Rules
    members: list[Member]
    failures: list[FailureRow]
    checked: signatures.Checked
    gone: int


def read_members(
    rows: Iterable[AddressRow], community: CommunityRow, *, rules: Rules, now: datetime
) -> tuple[list[Member], list[FailureRow]]:
    """The addresses that can be read, by passport, and those that cannot."""
    members: list[Member] = []
    failures: list[FailureRow] = []
    for row in rows:
        try:
            scoring = row.scoring_row(community)
            reading = credentials.read_stamps(
                scoring.stamps,
                address=row.address,
                trusted_issuers=rules.trusted_issuers,
                now=now,
                multi=rules.multi_nullifier,
            )
            member = Member(
                row.passport_id,
                row.address,
                scoring,
                row.stored_evidence(),
                row.metamask_awards(),
                reading.candidates,
                not reading.unreadable,
            )
        except Exception as error:
            failures.append(FailureRow(row.passport_id, row.address, _said(error)))
            continue
        signatures.log_unreadable(reading.unreadable)
        members.append(member)
    return members, failures


def _check_signatures(members: Sequence[Member], sampled: frozenset[int]) -> signatures.Checked:
    """Fill in the members' signed stamps: one question to didkit, and one more for a sample."""
    asked = (
        ([m for m in members if m.passport_id not in sampled], False),
        ([m for m in members if m.passport_id in sampled], True),
    )
    together = signatures.NOTHING_CHECKED
    for some, reverify in asked:
        if not some:
            continue
        checked = signatures.check([stamp for m in some for stamp in m.candidates], reverify=reverify)
        together = signatures.Checked(*(one + other for one, other in zip(together, checked, strict=True)))
        good = {stamp.key for stamp in checked.good}
        for member in some:
            member.signed = tuple(stamp for stamp in member.candidates if stamp.key in good)
    return together


# ---- deciding


@dataclass(slots=True)
class Decided:
    """What a batch writes: plans by passport, and what becomes of the links in the end, by nullifier."""

    plans: list[Plan] = field(default_factory=list)
    unchanged: list[Plan] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)
    new_links: list[NewLink] = field(default_factory=list)
    moved_links: list[MovedLink] = field(default_factory=list)

    @property
    def moves_others(self) -> bool:
        """Whether other addresses may be decided otherwise after it: by their links, or by the cap of MM2."""
        return bool(self.new_links or self.moved_links or any(plan.awards for plan in self.plans))


def decide_in_order(members: Iterable[Member], *, now: datetime, rules: Rules, only_changed: bool) -> Decided:
    """Decide one after the other: each sees the links, and the MM2 awards, as those before it leave them."""
    decided = Decided()
    seen: dict[str, Link] = {}
    later: dict[str, Link] = {}
    metamask = 0
    weights: Weights | None = None
    for member in members:
        row = member.row
        weights = weights or weights_of(row.weights, row.overrides)
        seen |= row.links
        if later:
            ahead = {n: later[n] for stamp in member.signed for n in stamp.nullifiers if n in later}
            if ahead:
                row = row._replace(links=row.links | ahead)
        if metamask and row.points is not None and member.metamask_awards + metamask >= METAMASK_LIMIT:
            row = row._replace(points=row.points._replace(metamask_full=True))
        try:
            plan = decide(row, member.signed, address=member.address, now=now, rules=rules, weights=weights)
        except Exception as error:
            decided.failures.append(FailureRow(member.passport_id, member.address, _said(error)))
            continue
        if only_changed and member.stored is not None and is_unchanged(plan, member.stored):
            decided.unchanged.append(plan)
            continue
        decided.plans.append(plan)
        for new in plan.dedup.new_links:
            later[new.hash] = Link(*new)
        for changed in plan.dedup.changed_links:
            later[changed.hash] = Link(changed.hash, plan.address, changed.expires_at)
        metamask += sum(award.action == METAMASK for award in plan.awards.rows)
    for nullifier, link in sorted(later.items()):
        was = seen.get(nullifier)
        if was is None:
            decided.new_links.append(NewLink(*link))
        elif was != link:
            decided.moved_links.append(MovedLink(nullifier, link.address, link.expires_at, was.address, was.expires_at))
    return decided


def is_unchanged(plan: Plan, stored: StoredEvidence) -> bool:
    """Whether writing ``plan`` would change nothing but the time of the score, and add nothing but events."""
    score = plan.score
    return plan.touches_only_the_score and stored == (
        str(int(score.passing)),
        "DONE",
        None,
        score.evidence,
        score.stamp_scores,
        score.stamps,
        score.expires_at,
    )


# ---- writing


class Writes(NamedTuple):
    """What a batch writes, ready to be sent: whoever waits for it to be written waits for nothing else."""

    decided: Decided
    passport_ids: list[int]
    gone: list[int]  # rows of registry_stamp
    new: list[tuple[int, int]]  # passport, and the row of the cache to copy
    scores: str


def writes_of(decided: Decided) -> Writes:
    """The writes of all plans."""
    plans = {plan.row.passport_id: plan for plan in decided.plans if plan.row.passport_id is not None}
    return Writes(
        decided,
        list(plans),
        [stamp_id for plan in plans.values() for stamp_id in plan.gone_stamp_ids],
        [(passport_id, key) for passport_id, plan in plans.items() for key in plan.new_stamp_keys],
        sql.scores_json(_score_of_passport(passport_id, plan) for passport_id, plan in plans.items()),
    )


def write_batch(alias: str, community_id: int, writes: Writes, now: datetime) -> None:
    """Write all of it, or raise: Stale for addresses that somebody else holds or changed, Changed for lost claims."""
    decided, passport_ids = writes.decided, writes.passport_ids
    if not passport_ids:
        return
    with transaction.atomic(using=alias):
        _require_all(passport_ids, sql.lock_passports(alias, passport_ids))
        if (decided.new_links and not sql.insert_links(alias, community_id, decided.new_links)) or (
            decided.moved_links and not sql.update_links(alias, community_id, decided.moved_links)
        ):
            count("claims.lost")
            raise Changed
        if (writes.gone or writes.new) and not sql.replace_stamps(alias, gone=writes.gone, new=writes.new):
            raise Changed
        _write_awards(alias, community_id, decided.plans, now)
        _require_all(passport_ids, sql.store_scores(alias, community_id, writes.scores, now))


def _require_all(wanted: Collection[int], there: Collection[int]) -> None:
    if len(there) < len(wanted):
        raise Stale(set(wanted) - set(there))


def _write_awards(alias: str, community_id: int, plans: Iterable[Plan], now: datetime) -> None:
    writes = [
        AwardWrite(plan.address, plan.awards, plan.row.points)
        for plan in plans
        if plan.awards and plan.row.points is not None
    ]
    if not writes:
        return
    sql.lock_points(alias, [write.address for write in writes])
    if any(row.action == METAMASK for write in writes for row in write.awards.rows):
        sql.lock_metamask(alias)
    if not sql.insert_awards(alias, community_id, writes, now):
        raise Changed


def _score_of_passport(passport_id: int, plan: Plan) -> ScoreOfPassport:
    score, seen = plan.score, plan.row.seen
    return ScoreOfPassport(
        passport_id=passport_id,
        score_id=plan.row.score_id,
        address=plan.address,
        score=int(score.passing),
        expiration_date=None if score.expires_at is None else score.expires_at.astimezone(UTC),
        dedup_events=plan.dedup_events(),
        score_event=plan.score_event(),
        live_ids=seen.live_ids,
        newest_update=seen.newest_update,
        seen_timestamp=seen.last_score_timestamp,
    )
