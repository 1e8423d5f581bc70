"""The guard: what it judges by, what it does about it, and that only a person undoes it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections, transaction

from scorer_fast.cutover import figure_queries, figures, flags, guard
from scorer_fast.cutover import guard_queries as sql
from scorer_fast.cutover.guard import Verdict
from scorer_fast.models import GuardVerdict, Latch

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    figures.reset()
    yield
    figures.reset()


def served(side: str, requests: int, *, errors: int = 0, milliseconds: float = 10) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    index = figures.bucket(milliseconds / 1000)
    figure_queries.add_figures(
        "default",
        [
            figure_queries.FigureRow("v2_score", side, minute, "ok", index, requests - errors, requests - errors, 7),
            figure_queries.FigureRow("v2_score", side, minute, "error", index, errors, errors, 7),
        ],
    )


def fail_v2_now() -> None:
    flags.set_mode("v2_score", "split", 10, reason="begin", by="test")
    served("legacy", 1000)
    served("fast", 1000, errors=50)


def test_a_failure_latches_with_all_that_was_seen() -> None:
    fail_v2_now()
    now = datetime.now(UTC)
    (judgement,) = guard.judge_all(now)
    assert judgement.verdict is Verdict.WORSE
    assert guard.act([judgement], now, dry_run=False) == [judgement]
    latch = Latch.objects.get()
    assert (latch.operation, latch.rule) == ("v2_score", "errors")
    assert guard.judge_all(now) == []


def test_a_judgement_from_the_future_counts_as_none() -> None:
    fail_v2_now()
    sql.upsert_verdict("default", "", datetime.now(UTC) + timedelta(hours=1), "fine", "[]")
    assert guard.tick()
    assert Latch.objects.get().operation == "v2_score"
    assert not guard.tick()
    GuardVerdict.objects.update(judged_at=datetime.now(UTC) - timedelta(seconds=31))
    assert guard.tick()


@pytest.mark.django_db(transaction=True)
def test_one_worker_judges_at_a_time() -> None:
    fail_v2_now()
    outcomes: list[bool] = []

    def another() -> None:
        outcomes.append(guard.tick())
        connections.close_all()

    with transaction.atomic():
        assert sql.lock_guard("default")
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
    assert outcomes == [False]
    assert not Latch.objects.exists()
    assert guard.tick()
