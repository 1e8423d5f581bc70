"""The guard: what it judges by, what it does about it, and that only a person undoes it."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from pytest_django import Settings

from scorer_fast.cutover import experiment_queries as sql
from scorer_fast.cutover import figures, flags, guard
from scorer_fast.cutover.guard import Verdict
from scorer_fast.http.catalogue import BY_ID
from scorer_fast.models import GuardVerdict, HistogramBucket, Latch, Mismatch, ShadowCount
from scorer_fast.models.flags import Mode

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
V2 = BY_ID["v2_score"]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    figures.reset()
    yield
    figures.reset()


def limit(settings: Settings, **limits: Any) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "GUARD": limits}


def served(
    side: str,
    requests: int,
    *,
    errors: int = 0,
    milliseconds: float = 10,
    at: datetime = NOW,
    operation: str = "v2_score",
) -> None:
    minute = at.replace(second=0, microsecond=0)
    index = figures.bucket(milliseconds / 1000)
    sql.add_figures("default", [sql.FigureRow(operation, side, minute, index, requests, errors)])


def mismatched(path: str = "body.score", at: datetime = NOW, category: str = "mismatch") -> None:
    key = sql.GroupKey("v2_score", category, path, "value", "")
    sql.upsert_mismatch("default", key, at, most=10)


def compared(number: int, at: datetime = NOW) -> None:
    sql.add_counts("default", [sql.CountRow("v2_score", at.replace(second=0), "matched", number)])


def verdicts(mode: Mode = Mode.SPLIT, lifted_at: datetime | None = None) -> dict[str, str]:
    judgement = guard.judge(V2, mode, NOW, lifted_at)
    return {"all": judgement.verdict.value, **{rule.name: rule.verdict.value for rule in judgement.rules}}


PASS, FAIL, UNKNOWN = "pass", "fail", "not enough data"


# ---- error rate


@pytest.mark.parametrize(
    ("fast", "legacy", "expected"),
    [
        ((1000, 0), (1000, 0), PASS),
        ((1000, 1), (1000, 0), PASS),  # 0.1 points above, and no more
        ((1000, 2), (1000, 0), FAIL),
        ((1000, 12), (1000, 10), FAIL),
        ((1000, 11), (1000, 10), PASS),
        ((1000, 0), (1000, 100), PASS),
        ((199, 199), (1000, 0), UNKNOWN),
        ((1000, 500), (199, 0), UNKNOWN),
        ((0, 0), (1000, 0), UNKNOWN),
    ],
)
def test_error_rate_against_the_hosts(fast: tuple[int, int], legacy: tuple[int, int], expected: str) -> None:
    served("fast", fast[0], errors=fast[1])
    served("legacy", legacy[0], errors=legacy[1])
    assert verdicts()["error_points"] == expected


def test_error_rate_as_such(settings: Settings) -> None:
    limit(settings, ERROR_PERCENT=1.0, ERROR_POINTS=None)
    served("fast", 1000, errors=10)
    assert verdicts() == {"all": UNKNOWN, "mismatches": PASS, "error_percent": PASS, "p95_ratio": UNKNOWN}
    served("fast", 1000, errors=11)
    assert verdicts()["error_percent"] == FAIL
    assert verdicts()["all"] == FAIL


# ---- p95


def test_p95_against_the_hosts() -> None:
    served("legacy", 1000, milliseconds=50)
    served("fast", 951, milliseconds=50)
    served("fast", 49, milliseconds=500)
    assert verdicts()["p95_ratio"] == PASS
    served("fast", 10, milliseconds=500)
    assert verdicts()["p95_ratio"] == FAIL


def test_limits_of_p95(settings: Settings) -> None:
    served("legacy", 1000, milliseconds=50)
    served("fast", 1000, milliseconds=70)
    for limits, expected in (
        ({"P95_RATIO": 1.5}, {"p95_ratio": PASS}),
        ({"P95_RATIO": 1.3}, {"p95_ratio": FAIL}),
        ({"P95_ABOVE_MS": 25, "P95_RATIO": None}, {"p95_above": PASS}),
        ({"P95_ABOVE_MS": 15, "P95_RATIO": None}, {"p95_above": FAIL}),
        ({"P95_MS": 100, "P95_RATIO": None}, {"p95": PASS}),
        ({"P95_MS": 60, "P95_RATIO": None}, {"p95": FAIL}),
    ):
        limit(settings, ERROR_POINTS=None, **limits)
        found = verdicts()
        assert {name: found[name] for name in found if name.startswith("p95")} == expected


def test_limits_of_one_operation(settings: Settings) -> None:
    served("legacy", 1000, milliseconds=50)
    served("fast", 1000, milliseconds=70)
    limit(settings, P95_RATIO=1.0, OPERATIONS={"v2_score": {"P95_RATIO": 2.0}})
    assert verdicts()["p95_ratio"] == PASS
    limit(settings, P95_RATIO=2.0, OPERATIONS={"v2_score": {"P95_RATIO": 1.0}})
    assert verdicts()["p95_ratio"] == FAIL


# ---- windows


def test_what_is_older_than_the_window_does_not_count() -> None:
    served("legacy", 1000)
    served("fast", 1000, errors=1000, at=NOW - timedelta(minutes=12))
    assert verdicts()["error_points"] == UNKNOWN


def test_the_hosts_older_figures_stand_for_it_once_it_answers_no_more() -> None:
    served("fast", 1000, errors=5)
    served("legacy", 1000, errors=5, at=NOW - timedelta(hours=20))
    assert verdicts()["error_points"] == PASS
    served("legacy", 50, errors=0)
    assert verdicts()["error_points"] == PASS


def test_the_hosts_figures_do_not_stand_for_it_for_ever() -> None:
    served("fast", 1000, errors=5)
    served("legacy", 1000, errors=5, at=NOW - timedelta(hours=30))
    assert verdicts()["error_points"] == UNKNOWN


def test_nothing_from_before_a_lift_counts() -> None:
    served("legacy", 1000)
    served("fast", 1000, errors=500, at=NOW - timedelta(minutes=5))
    mismatched(at=NOW - timedelta(minutes=5))
    assert verdicts()["all"] == FAIL
    found = verdicts(lifted_at=NOW - timedelta(minutes=3))
    assert found["mismatches"] == PASS
    assert found["error_points"] == UNKNOWN


# ---- mismatches


def test_a_real_mismatch_fails_whatever_the_sample(settings: Settings) -> None:
    mismatched()
    mismatched("status")
    judgement = guard.judge(V2, Mode.SHADOW, NOW, None)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.failing == ("mismatches", Verdict.FAIL, "2 (body.score, status)", "0", "3600 s", 0)
    limit(settings, MISMATCHES=2)
    assert verdicts(Mode.SHADOW)["mismatches"] == UNKNOWN
    limit(settings, MISMATCHES=None)
    assert verdicts(Mode.SHADOW)["mismatches"] == PASS


def test_shadow_passes_once_enough_was_compared() -> None:
    assert verdicts(Mode.SHADOW) == {"all": UNKNOWN, "mismatches": UNKNOWN}
    compared(199)
    assert verdicts(Mode.SHADOW)["all"] == UNKNOWN
    compared(1)
    assert verdicts(Mode.SHADOW)["all"] == PASS


@pytest.mark.parametrize("category", ["deliberate", "host_failed", "noise"])
def test_other_findings_are_no_mismatch(category: str) -> None:
    mismatched(category=category)
    assert verdicts(Mode.SPLIT)["mismatches"] == PASS


def test_where_the_host_differs_from_itself_nothing_is_a_mismatch() -> None:
    mismatched("body.score")
    mismatched("body.score", category="noise")
    assert verdicts(Mode.SPLIT)["mismatches"] == PASS
    mismatched("status")
    assert verdicts(Mode.SPLIT)["mismatches"] == FAIL


# ---- acting


def fail_v2() -> None:
    flags.set_mode("v2_score", Mode.SPLIT, 10, reason="begin", by="test")
    served("legacy", 1000)
    served("fast", 1000, errors=50)


def test_a_failure_latches_with_all_that_was_seen() -> None:
    fail_v2()
    failed = guard.act(guard.judge_all(NOW), NOW, dry_run=False)
    assert [judgement.operation for judgement in failed] == ["v2_score"]
    latch = Latch.objects.get()
    assert (latch.operation, latch.rule, latch.value, latch.limit, latch.window, latch.sample) == (
        "v2_score",
        "error_points",
        "5.000 points above the host",
        "0.1 points above the host",
        "600 s",
        1000,
    )
    verdict = GuardVerdict.objects.get()
    assert (verdict.operation, verdict.verdict, verdict.judged_at) == ("v2_score", "fail", NOW)
    assert [rule["name"] for rule in verdict.rules] == ["mismatches", "error_points", "p95_ratio"]


def test_what_is_latched_is_not_judged_and_what_is_lifted_starts_anew() -> None:
    fail_v2()
    guard.act(guard.judge_all(NOW), NOW, dry_run=False)
    assert guard.judge_all(NOW) == []
    flags.lift("v2_score", reason="mended", by="test")
    (again,) = guard.judge_all(datetime.now(UTC))
    assert again.verdict is Verdict.NOT_ENOUGH_DATA
    assert guard.act([again], NOW, dry_run=False) == []


def test_a_dry_run_latches_nothing(caplog: pytest.LogCaptureFixture) -> None:
    fail_v2()
    assert len(guard.act(guard.judge_all(NOW), NOW, dry_run=True)) == 1
    assert not Latch.objects.exists()
    assert "v2_score would be latched by error_points" in caplog.text


def test_operations_that_are_legacy_are_not_judged() -> None:
    served("fast", 1000, errors=50)
    assert guard.judge_all(NOW) == []
    flags.set_mode("check_bans", Mode.SHADOW, None, reason="look", by="test")
    assert [(each.operation, each.mode) for each in guard.judge_all(NOW)] == [("check_bans", "shadow")]


def test_modes_of_the_settings_are_judged(settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"stake": "fast"}}
    assert [each.operation for each in guard.judge_all(NOW)] == ["gtc_stake", "legacy_gtc_stake"]


def test_a_shadow_may_be_left_on_in_spite_of_mismatches(settings: Settings) -> None:
    flags.set_mode("v2_score", Mode.SHADOW, None, reason="look", by="test")
    mismatched()
    limit(settings, LATCH_SHADOW=False)
    assert guard.act(guard.judge_all(NOW), NOW, dry_run=False) == []
    assert GuardVerdict.objects.get().verdict == "fail"
    limit(settings)
    assert len(guard.act(guard.judge_all(NOW), NOW, dry_run=False)) == 1
    assert Latch.objects.get().rule == "mismatches"


def test_a_latched_operation_is_answered_by_the_host() -> None:
    flags.reset()
    fail_v2()
    assert "v2_score" not in flags.current().latched
    guard.act(guard.judge_all(NOW), NOW, dry_run=False)
    assert "v2_score" in flags.current().latched


# ---- by itself


def test_the_guard_judges_when_it_is_due() -> None:
    fail_v2_now()
    assert guard.tick()
    assert Latch.objects.get().operation == "v2_score"
    assert not guard.tick()
    GuardVerdict.objects.update(judged_at=datetime.now(UTC) - timedelta(seconds=31))
    assert guard.tick()


def test_the_guard_can_be_left_to_the_command_alone(settings: Settings) -> None:
    fail_v2_now()
    limit(settings, INTERVAL_SECONDS=0)
    assert not guard.tick()
    limit(settings, DRY_RUN=True)
    assert guard.tick()
    assert not Latch.objects.exists()


def fail_v2_now() -> None:
    flags.set_mode("v2_score", Mode.SPLIT, 10, reason="begin", by="test")
    served("legacy", 1000, at=datetime.now(UTC))
    served("fast", 1000, errors=50, at=datetime.now(UTC))


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


def test_old_figures_and_mismatches_are_forgotten() -> None:
    for days in (1, 6, 8, 40):
        served("fast", 1, at=NOW - timedelta(days=days))
        compared(1, at=NOW - timedelta(days=days))
        mismatched(f"body.{days}", at=NOW - timedelta(days=days))
    group = Mismatch.objects.get(path="body.40")
    sql.insert_sample("default", group.pk, NOW, request="{}", control="null", candidate="null")
    assert guard.prune(NOW) == (4, 1)
    assert HistogramBucket.objects.count() == 2
    assert ShadowCount.objects.count() == 2
    assert sorted(Mismatch.objects.values_list("path", flat=True)) == ["body.1", "body.6", "body.8"]


@pytest.mark.django_db(transaction=True)
def test_the_flushing_thread_judges_and_forgets(settings: Settings) -> None:
    fail_v2_now()
    served("fast", 1, at=NOW - timedelta(days=400))
    guard._pruned_at = None
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 0.05}
    figures.record("v2_score", "fast", 0.01, failed=False)
    until = datetime.now(UTC) + timedelta(seconds=10)
    while datetime.now(UTC) < until and not Latch.objects.exists():
        connection.close()
    figures.reset()
    assert Latch.objects.get().operation == "v2_score"
    assert not HistogramBucket.objects.filter(minute__lt=NOW - timedelta(days=365)).exists()


# ---- by command


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "guard", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_latches_and_says_so() -> None:
    assert run() == "Nothing to judge: every operation is legacy or latched.\n"
    fail_v2_now()
    out = StringIO()
    with pytest.raises(CommandError, match="latched to legacy: v2_score"):
        call_command("scorer_fast", "guard", stdout=out)
    assert "v2_score (split): fail" in out.getvalue()
    assert "5.000 points above the host; limit 0.1 points above the host, window 600 s, sample 1000" in out.getvalue()
    assert Latch.objects.get().operation == "v2_score"
    assert run() == "Nothing to judge: every operation is legacy or latched.\n"


def test_the_command_can_only_look() -> None:
    fail_v2_now()
    with pytest.raises(CommandError, match="would be latched: v2_score"):
        run("--dry-run")
    assert not Latch.objects.exists()
    assert not GuardVerdict.objects.exists()


def test_the_command_for_programs() -> None:
    flags.set_mode("check_bans", Mode.SHADOW, None, reason="look", by="test")
    (judgement,) = json.loads(run("--json"))
    assert judgement == {
        "operation": "check_bans",
        "mode": "shadow",
        "verdict": "not enough data",
        "rules": [
            {
                "name": "mismatches",
                "verdict": "not enough data",
                "value": "0",
                "limit": "0",
                "window": "3600 s",
                "sample": 0,
            }
        ],
    }


@pytest.mark.django_db(transaction=True)
def test_the_command_does_not_judge_beside_a_worker() -> None:
    fail_v2_now()
    refused: list[str] = []

    def another() -> None:
        try:
            run()
        except CommandError as error:
            refused.append(str(error))
        connections.close_all()

    with transaction.atomic():
        assert sql.lock_guard("default")
        thread = threading.Thread(target=another)
        thread.start()
        thread.join()
    assert refused == ["A worker is judging at this moment; try again."]
