"""Twelve hours of figures of twenty-one operations, minute by minute through the real guard on a real PostgreSQL.

make guard-replay             # some minutes; REPLAY_SEED=N repeats one

There are a day's rhythm, bursts, two deploys, an outage of the database, three hours in which nobody judges, and three
faults: one that begins with a deploy, one within the outage, one at 100 % beside a control of 1 %. They are latched, in
two windows where both sides have 500 requests a minute, and nothing else is.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.db import transaction

from bench.guard_simulation import Fault, World, any_world
from scorer_fast.cutover import figure_queries, flags, guard
from scorer_fast.cutover.evidence import SideMinute
from scorer_fast.cutover.figure_queries import FigureRow
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.models import HistogramBucket, Latch
from tests.guards.statements import sent

pytestmark = pytest.mark.django_db(transaction=True)
BEGIN = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
MINUTES = 720
DEPLOYS = (200, 520)
OUTAGE = range(400, 408)
ASLEEP = range(230, 390)  # longer than the guard looks back
FAULTS = {
    "check_bans": (200, 1000, 50, Fault("10 % errors", errors=0.1)),
    "gtc_stake": (404, 1000, 50, Fault("p95 tripled", slower=3.0)),
    "v2_score": (560, 1000, 100, Fault("20 % errors", errors=0.2)),
}
SHARES = {"embed_weights": 100, "cache_weights": 0}  # percent on the fast path; 0: shadow


def worlds(random: np.random.Generator) -> dict[str, World]:
    """Every operation's traffic, from 5 to 5,000 requests a minute; those that break have 1,000."""
    made = {}
    for operation in OPERATIONS:
        world = any_world(random)
        world.outages = False
        if operation.id in FAULTS:
            _, per_minute, percent, _ = FAULTS[operation.id]
            share = 0.99 if percent == 100 else percent / 100
            world = World(random, per_minute, share, 0.03, 0.5, 2.0, 0.0005, 0, 0.3, False, False)
        made[operation.id] = world
    return made


def rows(operation: str, side: str, minute: datetime, did: SideMinute) -> Iterator[FigureRow]:
    """What the processes would have added to the table of figures."""
    for bucket, requests in did.ok.items():
        yield FigureRow(operation, side, minute, "ok", bucket, requests, requests, did.ok_callers[bucket])
    if did.errors:
        kind = "fallback" if side == "fast" else "error"
        yield FigureRow(operation, side, minute, kind, 200, did.errors, did.errors, did.error_callers)


def test_twelve_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("REPLAY_SEED", secrets.randbits(32)))
    random = np.random.default_rng(seed)
    traffic = worlds(random)
    for operation in OPERATIONS:
        world = traffic[operation.id]
        percent = SHARES.get(operation.id, round(100 * world.share))
        mode = {0: "shadow", 99: "fast", 100: "fast"}.get(percent, "split")
        flags.set_mode(operation.id, mode, Decimal(percent) if mode == "split" else None, reason="on", by="replay")
        if percent == 100:
            world.share = 1.0
    guard.act(guard.judge_all(BEGIN), BEGIN, dry_run=False)
    read: list[int] = []
    list_cells = figure_queries.list_cells

    def counted(alias: str, since: datetime, until: datetime) -> list[figure_queries.CellRow]:
        cells = list_cells(alias, since, until)
        read.append(len(cells))
        return cells

    monkeypatch.setattr(figure_queries, "list_cells", counted)
    found: dict[str, int] = {}
    judged = rounds = 0
    slowest = spent = 0.0
    for number in range(1, MINUTES + 1):
        minute = BEGIN + timedelta(minutes=number)
        stored = list(happened(traffic, number, minute))
        figure_queries.add_figures("default", stored)
        if number in ASLEEP or number in OUTAGE:
            continue
        for seconds in (75, 105) if number % 10 == 0 else (75,):  # the minute is over and in; later, nothing is new
            now = minute + timedelta(seconds=seconds)
            started = time.perf_counter()
            with transaction.atomic():
                with sent() as names:
                    judgements = guard.judge_all(now)
                guard.act(judgements, now, dry_run=False)
            took = time.perf_counter() - started
            assert names.count("LIST_CELLS") <= 1
            assert len([name for name in names if "_" in name]) <= 7
            judged, rounds = judged + len(judgements), rounds + 1
            slowest, spent = max(slowest, took), spent + took
        for name in Latch.objects.filter(lifted_at=None).values_list("operation", flat=True):
            found.setdefault(name, number)
        if number % 60 == 0:
            guard.prune(minute)
    sys.stdout.write(
        f"seed {seed}: {judged} judgements of {HistogramBucket.objects.count()} rows of figures, "
        f"a round {1000 * spent / rounds:.0f} ms, at most {1000 * slowest:.0f} ms, "
        f"which read {max(read)} rows at most\n"
    )
    for latch in Latch.objects.order_by("id"):
        sys.stdout.write(f"{latch.operation}, {found[latch.operation]}: {latch.rule}: {latch.value}\n")
    assert set(found) == set(FAULTS)
    # The minute in which it broke is the first, or the one in which the database is there again.
    for name, (begins, _, percent, _) in FAULTS.items():
        first = OUTAGE.stop if begins in OUTAGE else begins
        assert first <= found[name] <= first + (1 if percent == 50 else 15), name


def happened(traffic: dict[str, World], number: int, minute: datetime) -> Iterator[FigureRow]:
    for name, world in traffic.items():
        if SHARES.get(name) == 0:
            continue
        usual = world.median
        if number in DEPLOYS:
            world.median *= 3  # cold processes
        if number == OUTAGE.start:
            world.outage_until, world.outage_rate = OUTAGE.stop, 0.3
        begins, _, _, fault = FAULTS.get(name, (MINUTES + 1, 0, 0, None))
        sides = world.minute(number, fault if number >= begins else None)
        world.median = usual
        for side, did in zip(("fast", "legacy"), sides, strict=True):
            yield from rows(name, side, minute, did)
            if number in OUTAGE and did.served:
                yield FigureRow(name, side, minute, "infrastructure", 300, 10 * did.served, 0, 0)
            if number in DEPLOYS and did.served:
                yield FigureRow(name, side, minute, "first_use", 250, did.served, 0, 0)
