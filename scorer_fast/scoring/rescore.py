"""Bulk rescoring: every address of a community anew, a batch at a time, by the same read, decision and write as a
request.

Invariant: a batch is one transaction that holds the lock of its row, so a process that dies takes no work with it,
and no two processes do the same work. Each address is written for itself, while what was read of it is still so:
whoever lost to somebody else, or to another address of the batch, is read and decided again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import DatabaseError, connections, transaction

from .. import linked, revision
from ..db.communities import BIGINT
from ..db.connection import is_contention, is_lost
from ..errors import VerifierDown
from ..run import Run, in_transaction
from ..settings import conf
from ..telemetry import count
from . import rescore_queries as queries
from .plan import Plan, Rules
from .read import ReadScoring, Wanted, read_many
from .rescore_queries import BatchRow, FailureRow, RunRow
from .service import decide_row, rules
from .signals import announce
from .verify import is_sampled
from .write import AGAIN, plan_json, write_batch

logger = logging.getLogger("scorer_fast.rescore")

ROUNDS = 5  # of a batch within its transaction, for those that lost to somebody else
TRIES = 10  # transactions that may try an address that others hold
POLL_SECONDS = 0.5  # between two looks at what others still work on; at first a fiftieth of it
MAX_BATCH = 1000  # addresses that may be locked at once
THREADS = 2  # of one command: while one waits for PostgreSQL, the other decides


class CannotRescore(Exception):
    """The run cannot begin or go on; the text says why and what to do."""


class Step(NamedTuple):
    """How many addresses one step of a run ended with."""

    scored: int = 0
    unchanged: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return sum(self)


def begin(scorer_id: int, *, only_changed: bool, size: int | None = None, restart: bool = False) -> RunRow:
    """The community's unfinished run, else a new one; ``size`` is that of a new run's batches.

    ``restart`` ends an unfinished run as it is and begins a new one.
    """
    alias = conf.database
    require_community(scorer_id)
    with transaction.atomic(using=alias):
        now = datetime.now(UTC)
        if restart:
            for newest in queries.list_runs(alias, scorer_id, 1):
                if newest.finished_at is None:
                    queries.abandon_run(alias, newest.id, now)
        # Where another process begins one at this moment, this waits for it and then takes part in its run.
        run_id = queries.insert_run(alias, scorer_id, only_changed=only_changed, size=_batch_size(size), now=now)
    run = queries.get_run(alias, run_id) if run_id is not None else queries.list_runs(alias, scorer_id, 1)[0]
    if run is None:
        raise CannotRescore("The run was removed as it began. Start it again.")
    if run.only_changed != only_changed:
        given = "with" if run.only_changed else "without"
        raise CannotRescore(
            f"A run of scorer {scorer_id} that began {run.started_at:%Y-%m-%d %H:%M} {given} --only-changed is not "
            f"finished. Go on with it ({given} --only-changed), or begin anew with --restart."
        )
    return run


def require_community(scorer_id: int) -> queries.Community:
    """The community to rescore; CannotRescore where there is none, or none with weights."""
    found = queries.get_community(conf.database, scorer_id) if abs(scorer_id) <= BIGINT else None
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


def work(run: RunRow, report: Callable[[Step], None], threads: int = 1) -> RunRow:
    """Take part in ``run`` until all of it is done, by whomever; the run as it ended.

    CannotRescore where the database or the verifier is lost: what was done stays done, and the run can go on. Each of
    ``threads`` works as another process would, on a connection of its own; inside a caller's transaction there is one.
    """
    rate, stopped, reporting = conf.rescore_addresses_per_second, threading.Event(), threading.Lock()
    if threads < 2 or in_transaction(conf.database):
        return _work(run, report, rate, stopped)

    def told(step: Step) -> None:
        with reporting:
            report(step)

    def one() -> RunRow:
        try:
            return _work(run, told, rate / threads, stopped)
        except BaseException:
            stopped.set()
            raise
        finally:
            connections[conf.database].close()

    with ThreadPoolExecutor(threads, "scorer-fast-rescore") as pool:
        try:
            ended = [future.result() for future in [pool.submit(one) for _ in range(threads)]]
        finally:
            stopped.set()  # by whom this one was: each ends with its batch
    return ended[-1]


def _work(run: RunRow, report: Callable[[Step], None], rate: float, stopped: threading.Event) -> RunRow:
    alias = conf.database
    due, poll = time.monotonic(), POLL_SECONDS / 50
    with _said_how_to_go_on():
        while not stopped.is_set():
            try:
                step = _step(alias, run)
                ended = None if step is not None else _ended(alias, run)
            except DatabaseError as error:
                if not is_contention(error):
                    raise
                _pause()
                continue
            if ended is not None:
                return ended
            report(step or Step())
            if step is None:
                stopped.wait(poll)
                poll = min(2 * poll, POLL_SECONDS)
            else:
                due = _paced(due, step.done, rate)
    return run


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


def _ended(alias: str, run: RunRow) -> RunRow | None:
    """The run as it ended; None while others work on it."""
    with transaction.atomic(using=alias):
        queries.finish_run(alias, run.id, datetime.now(UTC))
    current = queries.get_run(alias, run.id)
    if current is None:
        return run
    return current if current.finished_at is not None else None


def _paced(due: float, addresses: int, rate: float) -> float:
    """Keep to ``rate`` addresses a second; when the next step is due. Lost time is not made up for."""
    if rate <= 0:
        return due
    due = max(due + addresses / rate, time.monotonic())
    time.sleep(max(due - time.monotonic(), 0))
    return due


def _pause() -> None:
    """Up to 50 ms, at random: those who collided do not meet again."""
    time.sleep(random.random() * 0.05)


# ---- one batch


class Tally:
    """What became of the addresses of a batch; ``left``: passports to be tried again."""

    def __init__(self, passport_ids: Sequence[int]) -> None:
        self.left = list(passport_ids)
        self.scored = 0
        self.unchanged = 0
        self.failures: list[FailureRow] = []


def _step(alias: str, run: RunRow) -> Step | None:
    """Score the next batch; None when none is free."""
    with transaction.atomic(using=alias):
        batch = queries.claim_batch(alias, run.id)
        if batch is None:
            return None
        tally = _score(alias, run, batch)
        if tally.failures:
            queries.insert_failures(alias, run.id, tally.failures)
        queries.record_batch(
            alias,
            batch.id,
            tally.left,
            scored=tally.scored,
            unchanged=tally.unchanged,
            failed=len(tally.failures),
            awaited=conf.await_rescores,
        )
    for failure in tally.failures:
        logger.error(
            "an address could not be rescored: %s",
            failure.error,
            extra={"address": failure.address, "scorer_id": run.community_id},
        )
    if tally.left:
        _pause()
    return Step(tally.scored, tally.unchanged, len(tally.failures))


def _score(alias: str, run: RunRow, batch: BatchRow) -> Tally:
    tally = Tally(batch.passport_ids)
    for number in range(ROUNDS):
        if tally.left:
            _round(alias, run, tally, the_rules=rules(), give_up=batch.tries + 1 >= TRIES and number + 1 == ROUNDS)
    return tally


def _round(alias: str, run: RunRow, tally: Tally, *, the_rules: Rules, give_up: bool) -> None:
    """Read, decide and write those that are left."""
    sampled = [passport_id for passport_id in tally.left if is_sampled()]
    rows = _read(alias, tally, [each for each in tally.left if each not in sampled], texts=False)
    rows += _read(alias, tally, sampled, texts=True)
    rows.sort(key=lambda row: row.reading.passport_id or 0)
    tally.unchanged += len(tally.left) - len(rows)  # their passports are gone
    plans: list[str] = []
    members: list[tuple[int, str, Plan]] = []
    now = datetime.now(UTC)
    for address, reading, wanted in rows:
        passport_id = reading.passport_id
        assert passport_id is not None  # it was read by it
        try:
            linked.require_alone(address)  # what is the host's to score is told as left
            this = Run(at=now, database=alias)
            plan, checked = decide_row(this, reading.scoring_row(wanted), address, the_rules)
            plans.append(plan_json(this, plan, checked, awaited=conf.await_rescores, unless_same=run.only_changed))
            members.append((passport_id, address, plan))
        except VerifierDown:
            raise
        except Exception as error:  # whatever it is, it is one address's: the others shall not suffer
            tally.failures.append(FailureRow(passport_id, address, _said(error)))
    tally.left = []
    for written in write_batch(alias, plans) if plans else ():
        passport_id, address, plan = members[written.place]
        if written.state is None:
            tally.unchanged += written.is_left
            tally.scored += not written.is_left
            if not written.is_left:
                announce(alias, plan)
        elif written.state in AGAIN and not give_up:
            count("writes.retried")
            tally.left.append(passport_id)
        else:
            why = f"{written.state}: {written.message or 'others kept it'}"
            tally.failures.append(FailureRow(passport_id, address, why[:500]))


class Member(NamedTuple):
    """An address of a batch, and what was read of it."""

    address: str
    reading: ReadScoring
    wanted: Wanted


def _read(alias: str, tally: Tally, passport_ids: Sequence[int], *, texts: bool) -> list[Member]:
    """What is read of them; an address that PostgreSQL cannot read is a failure of its own."""
    wanted = Wanted(points=revision.current().awards_points, texts=texts)
    found: list[Member] = []
    parts = [list(passport_ids)] if passport_ids else []
    while parts:
        part = parts.pop()
        try:
            with transaction.atomic(using=alias):
                found += [Member(*row, wanted) for row in read_many(alias, part, wanted)]
        except DatabaseError as error:
            if is_lost(error) or is_contention(error):
                raise
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[:middle], part[middle:]]
                continue
            tally.left.remove(part[0])
            tally.failures.append(FailureRow(part[0], queries.get_address(alias, part[0]) or "", _said(error)))
    return found


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:500].replace("\0", "")
