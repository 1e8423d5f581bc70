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

from scorer_fast.cutover import dispatch as dispatch
from scorer_fast.cutover import figure_queries, figures, flags, guard
from scorer_fast.cutover import guard_queries as sql
from scorer_fast.cutover.figures import Outcome
from scorer_fast.cutover.guard import Judgement, Rule, Verdict
from scorer_fast.cutover.shadow import finding_queries
from scorer_fast.http.catalogue import BY_ID
from scorer_fast.models import GuardEvidence, GuardVerdict, HistogramBucket, Latch, Mismatch, ShadowCount
from tests.guards.statements import sent

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
EVERYBODY = (1 << figures.CALLER_BITS) - 1
FINE, UNDECIDED, WORSE, NO_CONTROL = Verdict


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    figures.reset()
    yield
    figures.reset()


def limit(settings: Settings, **limits: Any) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "GUARD": limits}


class Clock:
    """Minutes that pass: what both sides did in each is stored, and judged thirty seconds after it was over."""

    def __init__(self, at: datetime = START) -> None:
        self.now = at

    def pass_(
        self, fast: int = 0, host: int = 0, *, errors: tuple[int, int] = (0, 0), ms: tuple[float, float] = (10, 10),
        slow: tuple[int, int] = (0, 0), outcome: Outcome = Outcome.ERROR, callers: int = EVERYBODY,
        operation: str = "v2_score",
    ) -> Judgement:  # fmt: skip
        minute = self.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for side, requests, which in (("fast", fast, 0), ("legacy", host, 1)):
            good = requests - errors[which] - slow[which]
            rows = [
                (Outcome.OK, ms[which], good),
                (Outcome.OK, 50 * ms[which], slow[which]),
                (outcome, 1, errors[which]),
            ]
            figure_queries.add_figures(
                "default",
                [
                    figure_queries.FigureRow(
                        operation, side, minute, kind.value, figures.bucket(took / 1000), number, number, callers
                    )
                    for kind, took, number in rows
                    if number
                ]
                or [figure_queries.FigureRow(operation, side, minute, "ok", 0, 0, 0, 0)],
            )
        self.now = minute + timedelta(seconds=90)
        (judgement,) = [each for each in guard.judge_all(self.now) if each.operation == operation]
        guard.act([judgement], self.now, dry_run=True)
        return judgement

    def begin(self, mode: str = "split", percent: float | None = 50, operation: str = "v2_score") -> None:
        flags.set_mode(operation, mode, percent if mode == "split" else None, reason="begin", by="test")
        guard.act(guard.judge_all(self.now), self.now, dry_run=True)


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.begin()
    return clock


def rule(judgement: Judgement, name: str) -> Rule:
    return next(rule for rule in judgement.rules if rule.name == name)


# ---- both sides


def test_equal_sides_are_fine_once_there_are_enough(clock: Clock) -> None:
    judgement = clock.pass_(100, 100, slow=(5, 5))
    assert judgement.verdict is UNDECIDED
    errors = rule(judgement, "errors")
    assert errors.needs is not None
    assert 100 <= errors.needs <= 400
    assert "needs about" in errors.text
    for _ in range(5):
        judgement = clock.pass_(100, 100, slow=(5, 5))
    assert judgement.verdict is FINE
    assert rule(judgement, "errors") == Rule(
        "errors",
        FINE,
        "errors 0 % (0 to 0.64 % of 600 requests) against 0 % (0 to 0.64 % of 600 requests) of the host "
        "(limit 0.1 points)",
        "0 points more",
        "0.1 points",
        "12 min",
        600,
        600,
        0,
    )
    assert rule(judgement, "p95").text.startswith("p95 11 ms against 11 ms of the host (limit 1 ×); slower than 11 ms")


def test_errors_are_found(clock: Clock) -> None:
    clock.pass_(200, 200)
    judgement = clock.pass_(200, 200, errors=(40, 0))
    assert judgement.verdict is WORSE
    worse = rule(judgement, "errors")
    assert worse.text == (
        "errors 20 % (15 to 26 % of 200 requests) against 0 % (0 to 1.9 % of 200 requests) of the host "
        "(limit 0.1 points)"
    )
    assert (worse.value, worse.fast_sample, worse.host_sample) == ("20 points more", 200, 200)
    assert judgement.failing == worse


def test_a_few_more_errors_are_told_and_waited_for(clock: Clock) -> None:
    for _ in range(2):
        judgement = clock.pass_(300, 300, errors=(6, 0))
    worse = rule(judgement, "errors")
    assert worse.verdict is UNDECIDED
    assert worse.needs
    assert "2 % (" in worse.text
    for _ in range(8):
        judgement = clock.pass_(300, 300, errors=(6, 0))
    assert judgement.verdict is WORSE


def test_a_slow_side_is_found(clock: Clock) -> None:
    for _ in range(3):
        clock.pass_(200, 200, slow=(10, 10))
    for _ in range(3):
        judgement = clock.pass_(200, 200, slow=(10, 10), ms=(20, 10))
    assert judgement.verdict is WORSE
    assert rule(judgement, "p95").verdict is WORSE
    assert "slower than 11 ms were 100 % (" in rule(judgement, "p95").text


def test_twice_the_hosts_p95_may_be_allowed(clock: Clock, settings: Settings) -> None:
    limit(settings, P95_RATIO=3.0)
    for _ in range(6):
        judgement = clock.pass_(200, 200, ms=(20, 10))
    assert rule(judgement, "p95").verdict is FINE
    assert "(limit 3 ×)" in rule(judgement, "p95").text


def test_an_outage_of_both_sides_and_its_end_are_no_fault(clock: Clock) -> None:
    for minute in range(20):
        hit = minute % 4 == 1
        judgement = clock.pass_(200, 200, errors=(180, 180) if hit else (0, 0), ms=(500, 500) if hit else (10, 10))
        assert judgement.verdict is not WORSE


def test_one_caller_latches_nothing(clock: Clock) -> None:
    for _ in range(3):
        judgement = clock.pass_(200, 200, errors=(60, 0), callers=0b100)
    assert judgement.verdict is UNDECIDED
    assert rule(judgement, "errors").text.endswith("; one caller")
    assert clock.pass_(200, 200, errors=(60, 0)).verdict is WORSE


def test_operations_that_know_no_caller_need_three_minutes(clock: Clock) -> None:
    clock.begin(operation="embed_weights")
    for expected in (UNDECIDED, UNDECIDED, WORSE):
        judgement = clock.pass_(200, 200, errors=(60, 0), callers=0, operation="embed_weights")
        assert judgement.verdict is expected


@pytest.mark.parametrize("outcome", [Outcome.CIRCUIT_OPEN, Outcome.FALLBACK])
def test_an_open_circuit_and_fallbacks_are_the_fast_paths_errors(clock: Clock, outcome: Outcome) -> None:
    judgement = clock.pass_(200, 200, errors=(100, 0), outcome=outcome)
    assert judgement.verdict is WORSE
    words = {"fallback": "where the host answered instead", "circuit_open": "while the circuit was open"}
    assert rule(judgement, "errors").text.endswith(f", 100 {words[outcome.value]}")


@pytest.mark.parametrize(
    "outcome",
    [Outcome.REFUSED, Outcome.WENT_AWAY, Outcome.INFRASTRUCTURE, Outcome.HANDED_OVER, Outcome.FIRST_USE,
     Outcome.STOOD_IN],
)  # fmt: skip
def test_what_was_not_served_is_not_compared(clock: Clock, outcome: Outcome) -> None:
    for _ in range(5):
        judgement = clock.pass_(300, 300, errors=(150, 0), slow=(5, 5), outcome=outcome)
    assert judgement.verdict is not WORSE
    assert rule(judgement, "errors").fast_sample == 750


@pytest.mark.parametrize(
    ("host", "expected"), [((0, 0), WORSE), ((0, 150), FINE)], ids=["the host is quick", "so does the host"]
)
def test_what_ran_out_of_time_was_slow(clock: Clock, host: tuple[int, int], expected: Verdict) -> None:
    """A fast path that hangs is caught; a database on which everybody does is nobody's fault."""
    for _ in range(4):
        minute = clock.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        cell = figure_queries.FigureRow(
            "v2_score", "fast", minute, "timed_out", figures.bucket(10), 150, 150, EVERYBODY
        )
        figure_queries.add_figures("default", [cell])
        judgement = clock.pass_(150, 300, slow=(0, host[1]), ms=(10, 200) if host[1] else (10, 10))
    assert rule(judgement, "errors").verdict is FINE
    assert rule(judgement, "p95").verdict is expected


def test_an_outcome_of_a_newer_release_is_not_compared() -> None:
    assert Outcome("of a newer release") is Outcome.INFRASTRUCTURE


def test_rules_can_be_left_out(clock: Clock, settings: Settings) -> None:
    limit(settings, ERROR_POINTS=None, OPERATIONS={"v2_score": {"P95_RATIO": None}})
    judgement = clock.pass_(200, 200, errors=(40, 0))
    assert (judgement.rules, judgement.verdict) == ((), guard.Verdict.FINE)


# ---- steps


def test_nothing_from_before_a_change_counts(clock: Clock) -> None:
    clock.pass_(200, 200, errors=(15, 0))
    assert rule(clock.pass_(200, 200), "errors").fast_sample > 0
    flags.set_mode("v2_score", "split", 20, reason="on", by="test")
    judgement = clock.pass_()
    assert (judgement.verdict, rule(judgement, "errors").fast_sample) == (UNDECIDED, 0)
    assert GuardEvidence.objects.count() == 2
    before = GuardEvidence.objects.order_by("id").first()
    assert before is not None
    assert (before.mode, before.percent, before.fast["requests"], before.host["p95_ms"]) == ("split", 50, 400, 11.0)


def test_what_is_not_compared_yet_says_why() -> None:
    clock = Clock()
    clock.begin()
    judgement = clock.pass_()
    takes = "nothing compared yet: it takes a full minute with requests after the change; needs about"
    assert rule(judgement, "errors").text.startswith(takes)
    assert rule(judgement, "p95").text.startswith(takes)
    judgement = clock.pass_(200, 12)
    assert rule(judgement, "errors").fast_sample == 200
    p95 = "nothing compared yet: the host's p95 takes 20 requests of its own, 12 so far; needs about"
    assert rule(judgement, "p95").text.startswith(p95)


def test_what_the_host_took_just_before_a_change_says_what_is_slow(clock: Clock) -> None:
    clock.pass_(200, 200)
    clock.begin(percent=60)
    assert rule(clock.pass_(200, 200, ms=(50, 10)), "p95").verdict is WORSE


def test_a_lift_starts_anew(clock: Clock) -> None:
    judgement = clock.pass_(200, 200, errors=(40, 0))
    guard.act([judgement], clock.now, dry_run=False)
    assert guard.judge_all(clock.now) == []
    flags.lift("v2_score", reason="mended", by="test")
    judgement = clock.pass_()
    assert judgement.verdict is UNDECIDED
    assert clock.pass_(200, 200).verdict is not WORSE


def test_figures_of_a_minute_that_is_not_over_wait(clock: Clock) -> None:
    clock.pass_(200, 200)
    minute = clock.now.replace(second=0)
    cell = figure_queries.FigureRow("v2_score", "fast", minute, "error", 1, 500, 500, EVERYBODY)
    figure_queries.add_figures("default", [cell])
    (judgement,) = guard.judge_all(clock.now)
    assert rule(judgement, "errors").fast_sample == 200


def test_a_minute_is_counted_once_however_often_it_is_looked_at(clock: Clock) -> None:
    clock.pass_(200, 200, slow=(9, 9))
    for second in range(10):
        now = clock.now + timedelta(seconds=second)
        guard.act(guard.judge_all(now), now, dry_run=True)
    (judgement,) = guard.judge_all(clock.now)
    assert rule(judgement, "errors").fast_sample == 200


# ---- without a control


def lonely(clock: Clock, minutes: int, **more: Any) -> Judgement:
    for _ in range(minutes):
        judgement = clock.pass_(400, 0, **more)
    return judgement


def test_without_the_host_it_says_so_and_judges_by_what_was_last_compared(clock: Clock) -> None:
    for _ in range(3):
        clock.pass_(200, 200)
    flags.set_mode("v2_score", "fast", None, reason="all", by="test")
    clock.pass_()
    judgement = lonely(clock, 5, errors=(2, 0))
    assert judgement.verdict is NO_CONTROL
    assert rule(judgement, "errors").text.startswith("no requests of the host to compare with: errors 0.5 % (")
    assert "(limit 45 ms, 4 × what it was when last compared)" in rule(judgement, "p95").text
    assert lonely(clock, 5, ms=(40, 10)).verdict is NO_CONTROL
    assert rule(lonely(clock, 4, ms=(60, 10)), "p95").verdict is WORSE


def test_a_broken_fast_path_is_found_without_the_host(clock: Clock) -> None:
    """The baseline is not asked: it may never have been there."""
    flags.set_mode("v2_score", "fast", None, reason="all", by="test")
    clock.pass_()
    assert lonely(clock, 4).verdict is NO_CONTROL
    assert rule(lonely(clock, 1, errors=(400, 0)), "errors").verdict is WORSE


def test_where_the_host_is_never_asked_few_requests_do(clock: Clock, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CONTROL_PERCENT": 0}
    flags.set_mode("v2_score", "split", 100, reason="all", by="test")
    clock.pass_()
    assert clock.pass_(5, 0).verdict is NO_CONTROL
    clock.pass_(5, 0, errors=(5, 0))
    assert rule(clock.pass_(5, 0, errors=(5, 0)), "errors").verdict is WORSE


def test_one_that_fails_for_everybody_is_found_though_its_open_circuit_hides_most_callers(clock: Clock) -> None:
    """What the circuit turns away counts as the doing of the few who opened it."""
    flags.set_mode("v2_score", "fast", None, reason="all", by="test")
    clock.pass_()
    for _ in range(4):
        clock.pass_()
        minute = clock.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        row = figure_queries.FigureRow("v2_score", "fast", minute, "circuit_open", 1, 400, 6, 0b111111)
        figure_queries.add_figures("default", [row])
        judgement = clock.pass_()
    assert rule(judgement, "errors").verdict is WORSE
    assert rule(judgement, "errors").text.startswith("no requests of the host to compare with: errors 100 %")


def test_a_small_control_is_a_control(clock: Clock) -> None:
    flags.set_mode("v2_score", "fast", None, reason="all", by="test")
    clock.pass_()
    for minute in range(20):
        judgement = clock.pass_(400, 3 + minute % 2 * 2)
    assert rule(judgement, "errors").verdict is UNDECIDED
    for minute in range(40):
        judgement = clock.pass_(400, 3 + minute % 2 * 2, errors=(80, 0))
        if judgement.verdict is WORSE:
            break
    assert judgement.verdict is WORSE
    assert minute < 16  # of both sides by the strict test alone: 27
    assert rule(judgement, "errors").text.startswith("errors 20 % (")
    assert "against 0 % (0 to" in rule(judgement, "errors").text


# ---- mismatches


def mismatched(clock: Clock, requests: int = 1, *, callers: int = 0b11, compared: int = 100, minutes: int = 1) -> None:
    operation = "v2_score"
    minute = clock.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    for path in ("body.score", "body.stamps", "status"):
        key = finding_queries.GroupKey(operation, "mismatch", path, "value", "")
        finding_queries.upsert_mismatch("default", key, minute, most=10)
    for number in range(minutes):
        at = minute + timedelta(minutes=number)
        rows = [("mismatched", requests, callers), ("matched", compared, 0)]
        figure_queries.add_counts(
            "default", [figure_queries.CountRow(operation, at, outcome, n, bits) for outcome, n, bits in rows]
        )
    clock.now = minute + timedelta(minutes=minutes - 1, seconds=30)


def shadowed(clock: Clock) -> Rule:
    (judgement,) = guard.judge_all(clock.now)
    return rule(judgement, "mismatches")


@pytest.fixture
def shadow() -> Clock:
    clock = Clock()
    clock.begin("shadow")
    return clock


def test_mismatches_of_several_callers_are_worse(shadow: Clock) -> None:
    mismatched(shadow, 2)
    assert shadowed(shadow) == Rule(
        "mismatches",
        WORSE,
        "2 of 102 requests compared were answered otherwise (limit 0): "
        "body.score value, body.stamps value, status value",
        "2 (body.score value, body.stamps value, status value)",
        "0 requests",
        "0 min",
        102,
        102,
        98,
    )


def test_one_request_is_one_piece_of_evidence_whatever_the_number_of_its_fields(shadow: Clock) -> None:
    mismatched(shadow, 1, callers=0b1)
    found = shadowed(shadow)
    assert (found.verdict, found.text[-12:]) == (UNDECIDED, "; one caller")


def test_a_mismatch_needs_some_comparisons(shadow: Clock) -> None:
    mismatched(shadow, 2, compared=10)
    assert shadowed(shadow).text.endswith("; needs about 8 more requests")
    mismatched(shadow, 2, compared=10)
    assert shadowed(shadow).verdict is WORSE


def test_where_the_host_differs_from_itself_nothing_is_a_mismatch(shadow: Clock) -> None:
    mismatched(shadow, 2)
    for path in ("body.score", "body.stamps", "status"):
        key = finding_queries.GroupKey("v2_score", "noise", path, "value", "")
        finding_queries.upsert_mismatch("default", key, shadow.now, most=10)
    assert shadowed(shadow).verdict is UNDECIDED


def test_shadow_is_fine_once_enough_was_compared(shadow: Clock, settings: Settings) -> None:
    assert shadowed(shadow).text == "none of 0 requests compared were answered otherwise; needs about 200 more requests"
    mismatched(shadow, 0, compared=300)
    assert shadowed(shadow).verdict is FINE
    mismatched(shadow, 2)
    limit(settings, MISMATCHES=2)
    assert shadowed(shadow).verdict is FINE
    limit(settings, MISMATCHES=None)
    assert shadowed(shadow).verdict is FINE


def test_a_shadow_may_be_left_on_in_spite_of_mismatches(shadow: Clock, settings: Settings) -> None:
    mismatched(shadow, 2)
    limit(settings, LATCH_SHADOW=False)
    assert guard.act(guard.judge_all(shadow.now), shadow.now, dry_run=False) == []
    assert GuardVerdict.objects.get().verdict == "worse"
    limit(settings)
    assert len(guard.act(guard.judge_all(shadow.now), shadow.now, dry_run=False)) == 1
    assert Latch.objects.get().rule == "mismatches"


# ---- acting


def test_worse_latches_with_all_that_was_seen(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    judgement = clock.pass_(200, 200, errors=(40, 0))
    assert "v2_score would be latched by errors: errors 20 % (" in caplog.text
    assert not Latch.objects.exists()
    guard.act([judgement], clock.now, dry_run=False)
    latch = Latch.objects.get()
    assert (latch.operation, latch.rule, latch.limit, latch.sample) == ("v2_score", "errors", "0.1 points", 200)
    assert latch.value.startswith("errors 20 % (15 to 26 % of 200 requests) against 0 % (")
    verdict = GuardVerdict.objects.get()
    assert (verdict.operation, verdict.verdict, verdict.judged_at) == ("v2_score", "worse", clock.now)
    assert [rule["name"] for rule in verdict.rules] == ["errors", "p95"]  # nothing was compared
    assert "v2_score" in flags.current().latched


def test_operations_that_are_legacy_are_not_judged(settings: Settings) -> None:
    assert guard.judge_all(START) == []
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"stake": "fast"}}
    assert [each.operation for each in guard.judge_all(START)] == ["gtc_stake", "legacy_gtc_stake"]


def test_figures_are_read_once_for_all_operations(settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"*": "fast"}}
    guard.act(guard.judge_all(START), START, dry_run=True)
    with sent() as names:
        judgements = guard.judge_all(START + timedelta(minutes=10))
    assert len(judgements) == len(BY_ID)
    assert sorted(names) == [
        "COUNT_REAL_MISMATCHES", "LIST_CELLS", "LIST_CHANGES", "LIST_COMPARED", "LIST_EVIDENCE", "LIST_FLAGS",
        "LIST_OPEN_LATCHES",
    ]  # fmt: skip


# ---- by itself


def broken_now() -> None:
    """A step that began some minutes ago, and broke, by the database's clock."""
    clock = Clock(datetime.now(UTC) - timedelta(minutes=6))
    clock.begin()
    clock.pass_(200, 200, errors=(40, 0))


def test_the_guard_judges_when_it_is_due(settings: Settings) -> None:
    broken_now()
    GuardVerdict.objects.all().delete()
    assert guard.tick()
    assert Latch.objects.get().operation == "v2_score"
    assert not guard.tick()
    GuardVerdict.objects.update(judged_at=datetime.now(UTC) - timedelta(seconds=31))
    assert guard.tick()


def test_a_judgement_from_the_future_counts_as_none() -> None:
    broken_now()
    sql.upsert_verdict("default", "", datetime.now(UTC) + timedelta(hours=1), "fine", "[]")
    assert guard.tick()
    assert Latch.objects.exists()
    assert not guard.tick()


def test_the_guard_can_be_left_to_the_command_alone(settings: Settings) -> None:
    broken_now()
    GuardVerdict.objects.all().delete()
    limit(settings, INTERVAL_SECONDS=0)
    assert not guard.tick()
    limit(settings, DRY_RUN=True)
    assert guard.tick()
    assert not Latch.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_one_worker_judges_at_a_time() -> None:
    broken_now()
    GuardVerdict.objects.all().delete()
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


def test_old_figures_mismatches_and_steps_are_forgotten() -> None:
    for days in (1, 6, 8, 40):
        at = START - timedelta(days=days)
        figure_queries.add_figures("default", [figure_queries.FigureRow("v2_score", "fast", at, "ok", 1, 1, 1, 0)])
        figure_queries.add_counts("default", [figure_queries.CountRow("v2_score", at, "matched", 1, 0)])
        key = finding_queries.GroupKey("v2_score", "mismatch", f"body.{days}", "value", "")
        finding_queries.upsert_mismatch("default", key, at, most=10)
        sql.upsert_evidence("default", sql.EvidenceRow("v2_score", f"{-days}", "fast", 0, at, at, "{}", "{}", "{}"))  # type: ignore[arg-type]
    group = Mismatch.objects.get(path="body.40")
    finding_queries.insert_sample("default", group.pk, START, request="{}", control="null", candidate="null")
    assert guard.prune(START) == (4, 1)
    assert HistogramBucket.objects.count() == 2
    assert ShadowCount.objects.count() == 2
    assert sorted(Mismatch.objects.values_list("path", flat=True)) == ["body.1", "body.6", "body.8"]
    # The newest step stays, however old: its p95 is what there is to compare with.
    assert sorted(GuardEvidence.objects.values_list("basis", flat=True)) == ["-1", "-40", "-6", "-8"]


@pytest.mark.django_db(transaction=True)
def test_the_flushing_thread_judges(settings: Settings) -> None:
    assert "guard" in figures._afterwards  # by cutover.dispatch, which every worker imports
    broken_now()
    GuardVerdict.objects.all().delete()
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 0.05}
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    until = datetime.now(UTC) + timedelta(seconds=10)
    while datetime.now(UTC) < until and not Latch.objects.exists():
        connection.close()
    figures.reset()
    assert Latch.objects.get().operation == "v2_score"


# ---- by command


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "guard", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_the_command_latches_and_says_so() -> None:
    assert run() == "Nothing to judge: every operation is legacy or latched.\n"
    broken_now()
    out = StringIO()
    with pytest.raises(CommandError, match="latched to legacy: v2_score"):
        call_command("scorer_fast", "guard", stdout=out)
    assert "v2_score (split): worse" in out.getvalue()
    assert "errors 20 % (15 to 26 % of 200 requests) against 0 % (" in out.getvalue()
    assert Latch.objects.get().operation == "v2_score"
    assert run() == "Nothing to judge: every operation is legacy or latched.\n"


def test_the_command_can_only_look() -> None:
    broken_now()
    GuardVerdict.objects.all().delete()
    with pytest.raises(CommandError, match="would be latched: v2_score"):
        run("--dry-run")
    assert not Latch.objects.exists()
    assert not GuardVerdict.objects.exists()


def test_the_command_for_programs() -> None:
    flags.set_mode("check_bans", "shadow", None, reason="look", by="test")
    (judgement,) = json.loads(run("--json"))
    assert {**judgement, "rules": [sorted(rule) for rule in judgement["rules"]]} == {
        "operation": "check_bans",
        "mode": "shadow",
        "verdict": "not yet decided",
        "rules": [sorted(Rule._fields)],
    }


@pytest.mark.django_db(transaction=True)
def test_the_command_does_not_judge_beside_a_worker() -> None:
    broken_now()
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
