"""Rollouts: plans, people, and a state machine over clock, verdicts, kills, lifts and two workers."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pytest_django import Settings

from scorer_fast.cutover import flag_queries, flags, guard, rollout, signals, state
from scorer_fast.cutover import rollout_queries as sql
from scorer_fast.cutover.flags import InvalidChange
from scorer_fast.cutover.guard import Judgement, Rule, Verdict
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.models import FlagLog

from .conftest import MIDDLEWARE

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)
WHO = {"reason": "a test", "by": "ann"}
HOUR = timedelta(hours=1)


def judge_as(verdict: Verdict, needs: int | None = None) -> dict[str, Judgement]:
    rules = (Rule("p95", verdict, "9.6 ms against 160 ms (limit 1)", "9.6 ms", "1", "600 s", 50, 40, needs),)
    return {operation.id: Judgement(operation.id, "split", verdict, rules) for operation in OPERATIONS}


FINE = judge_as(Verdict.FINE)


def flag(operation: str = "v2_score") -> str:
    return flags.describe(flag_queries.get_flag("default", operation))


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "rollout", *arguments, stdout=out)
    return " ".join(out.getvalue().split())


# ---- plans


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("shadow,1,5,25,50,100", ["shadow", "1", "5", "25", "50", "100"]),
        (" 0.5 %, 2.25", ["0.5", "2.25"]),
        ("Shadow", ["shadow"]),
    ],
)
def test_steps(text: str, steps: list[str]) -> None:
    assert rollout.parse_steps(text) == steps


@pytest.mark.parametrize("text", ["", "1,shadow", "5,5", "25,5", "0,5", "1,101", "one", "shadow,shadow", "1,-5"])
def test_steps_that_are_none(text: str) -> None:
    with pytest.raises(InvalidChange):
        rollout.parse_steps(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30m", 1800), ("1h30m", 5400), ("1d", 86_400), ("0", 0)])
def test_holding_times(text: str, seconds: int) -> None:
    assert rollout.parse_hold(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "1w", "h", "-5", "1.5h"])
def test_holding_times_that_are_none(text: str) -> None:
    with pytest.raises(InvalidChange):
        rollout.parse_hold(text)


# ---- by itself


@pytest.mark.django_db
def test_a_group_goes_from_shadow_to_all_while_the_guard_says_fine() -> None:
    rollout.start("score", "shadow,5,100", "1h", now=NOW, **WHO)
    seen, now = [], NOW
    for _ in range(4):
        seen.append((flag("v2_score"), flag("internal_score")))
        assert rollout.advance(now + HOUR / 2, FINE) == []  # not before its time
        now += HOUR
        rollout.advance(now, FINE)
    assert seen == [("shadow",) * 2, ("split 5.00 %",) * 2, ("fast",) * 2, ("fast",) * 2]
    (row,) = sql.list_rollouts("default")
    assert (row.state, row.note) == ("done", "held its last step")
    lines = FlagLog.objects.filter(operation="v2_score").order_by("id").values_list("to_value", "changed_by", "reason")
    assert list(lines) == [
        ("shadow", f"rollout {row.id}", "a test (started by ann)"),
        ("split 5.00 %", f"rollout {row.id}", "step 2 of 3: the guard said fine of the step before"),
        ("fast", f"rollout {row.id}", "step 3 of 3: the guard said fine of the step before"),
        (f"rollout {row.id} done", f"rollout {row.id}", "held its last step"),
    ]


@pytest.mark.django_db
def test_what_was_not_judged_is_not_fine() -> None:
    rollout.start("score", "shadow,5", "1h", now=NOW, **WHO)
    judgements = {name: one for name, one in FINE.items() if name != "internal_score"}
    rollout.advance(NOW + HOUR, judgements)
    assert flag() == "shadow"
    assert sql.list_rollouts("default")[0].note == "waits for the guard: internal_score not yet decided"


@pytest.mark.django_db
def test_it_waits_for_the_guard_and_says_for_what_and_about_how_long() -> None:
    rollout.start("v2_score", "5,25", "10m", now=NOW, **WHO)
    assert rollout.advance(NOW + timedelta(minutes=20), judge_as(Verdict.UNDECIDED, needs=100)) != []
    assert flag() == "split 5.00 %"
    text = rollout.said(sql.list_rollouts("default")[0], NOW + timedelta(minutes=20))
    assert (
        "waits for the guard: v2_score not yet decided (9.6 ms against 160 ms (limit 1)), about 50 minutes more" in text
    )


@pytest.mark.django_db
def test_worse_rolls_the_whole_group_back_and_ends_it() -> None:
    row = rollout.start("score", "5,25", "1h", now=NOW, **WHO)
    rollout.advance(NOW + timedelta(minutes=1), judge_as(Verdict.WORSE))
    (row,) = sql.list_rollouts("default")
    assert row.state == "rolled_back"
    assert "is worse: 9.6 ms against 160 ms" in row.note
    assert {latch.operation for latch in flag_queries.list_open_latches("default")} == {"v2_score", "internal_score"}
    for name in ("v2_score", "internal_score"):
        flags.lift(name, **WHO)
    assert rollout.advance(NOW + HOUR * 9, FINE) == []
    assert flag() == "split 5.00 %"


@pytest.mark.django_db
def test_what_the_guard_says_at_length_rolls_back_too() -> None:
    rollout.start("score", "5,25", "1h", **WHO, now=NOW)
    text = "errors 20 % of 1,000 requests, " * 10
    rule = Rule("errors", Verdict.WORSE, text, "20 %", "1 points", "600 s", 50, 40, None)
    worse = Judgement("v2_score", "split", Verdict.WORSE, (rule,))
    (row,) = rollout.advance(NOW, {**FINE, "v2_score": worse})
    assert (row.state, row.note) == ("rolled_back", f"v2_score is worse: {text}")
    assert {latch.operation for latch in flag_queries.list_open_latches("default")} == {"v2_score", "internal_score"}


@pytest.mark.django_db
def test_a_rollout_that_a_latch_ends_says_which_and_why() -> None:
    rollout.start("score", "5,25", "1h", **WHO, now=NOW)
    flags.latch("internal_score", rule="p95", value="160 ms", limit="9.6 ms", window="600 s", sample=52)
    (row,) = rollout.advance(NOW, FINE)
    assert (row.state, row.note) == ("rolled_back", "internal_score was latched by p95: 160 ms")


@pytest.mark.django_db
def test_a_dry_run_latches_nothing_and_pauses() -> None:
    rollout.start("v2_score", "5,25", "1h", now=NOW, **WHO)
    rollout.advance(NOW + timedelta(minutes=1), judge_as(Verdict.WORSE), dry_run=True)
    assert sql.list_rollouts("default")[0].state == "paused"
    assert flag_queries.list_open_latches("default") == []


@pytest.mark.django_db
def test_a_kill_holds_it_and_its_time_begins_anew() -> None:
    rollout.start("v2_score", "5,25", "1h", now=NOW, **WHO)
    flags.kill("all", **WHO)
    rollout.advance(NOW + HOUR, FINE)
    assert flag() == "split 5.00 %"
    assert "waits: v2_score is held by the kill switch" in sql.list_rollouts("default")[0].note
    flags.release("all", **WHO)
    rollout.advance(NOW + HOUR * 1.5, FINE)
    assert flag() == "split 5.00 %"
    rollout.advance(NOW + HOUR * 2, FINE)
    assert flag() == "split 25.00 %"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "judge", [lambda: guard.tick(rollout.advance), lambda: call_command("scorer_fast", "guard", stdout=StringIO())]
)
def test_whoever_judges_moves_it(judge: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "judge_all", lambda now: list(FINE.values()))
    rollout.start("v2_score", "5,25,50", 0, now=datetime.now(UTC) - HOUR, **WHO)
    judge()
    assert flag() == "split 25.00 %"


# ---- by people


@pytest.mark.django_db
def test_a_persons_set_pauses_it_and_resume_goes_back_to_its_step() -> None:
    rollout.start("v2_score", "5,25,50", "1h", now=NOW, **WHO)
    flags.set_mode("v2_score", "split", 1, "look closer", "ben")
    (row,) = sql.list_rollouts("default")
    assert (row.state, row.note) == ("paused", "ben set v2_score: look closer")
    assert rollout.advance(NOW + HOUR * 2, FINE) == []
    rollout.resume("v2_score", now=NOW + HOUR * 2, **WHO)
    assert flag() == "split 5.00 %"
    rollout.advance(NOW + HOUR * 2.5, FINE)
    assert flag() == "split 5.00 %"
    flags.set_mode("v2_score", "fast", None, "hurry", "ben")
    with pytest.raises(InvalidChange, match="at 100 %, wider than the rollout's step 5 %"):
        rollout.resume("v2_score", now=NOW + HOUR * 3, **WHO)
    rollout.abort("v2_score", now=NOW + HOUR * 3, **WHO)
    assert flag() == "legacy"
    assert sql.list_rollouts("default")[0].state == "aborted"


@pytest.mark.django_db
def test_what_cannot_start() -> None:
    flags.set_mode("v2_score", "split", 10, **WHO)
    with pytest.raises(InvalidChange, match="v2_score is at 10 % already"):
        rollout.start("score", "5,25", "1h", now=NOW, **WHO)
    flags.kill("check_bans", **WHO)
    with pytest.raises(InvalidChange, match="check_bans is held by the kill switch"):
        rollout.start("check_bans", "5,25", "1h", now=NOW, **WHO)
    with pytest.raises(InvalidChange, match="needs a reason"):
        rollout.start("gtc_stake", "5,25", "1h", reason=" ", by="ann", now=NOW)
    rollout.start("v2_score", "25", "1h", now=NOW, **WHO)
    with pytest.raises(InvalidChange, match=r"Rollout \d+ of v2_score is running"):
        rollout.start("all", "50", "1h", now=NOW, **WHO)


@pytest.mark.django_db
def test_the_command(settings: Settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE]
    assert run("status") == "No rollout."
    said = run("start", "v2_score", "--steps=5,25", "--hold=1h", "--reason=a test", "--by=ann")
    number = sql.list_rollouts("default")[0].id
    assert said.startswith(f"rollout {number} of v2_score by ann: running, step 1 of 2 (5 %), held until ")
    assert [row.id for row in state.read(datetime.now(UTC)).rollouts] == [number]
    out = StringIO()
    call_command("scorer_fast", "status", stdout=out)
    assert f"rollout {number} of v2_score" in out.getvalue()
    assert "paused" in run("pause", str(number), "--reason=lunch")
    assert "running" in run("resume", "v2_score", "--reason=back")
    assert "aborted" in run("abort", "v2_score", "--reason=no")
    with pytest.raises(CommandError, match="No rollout of v2_score is under way"):
        run("pause", "v2_score", "--reason=x")
    with pytest.raises(CommandError, match="Did you mean v2_score"):
        run("start", "v3_score", "--reason=x")


@pytest.mark.django_db
def test_signals_are_sent(django_capture_on_commit_callbacks: Any) -> None:
    seen: list[tuple[str, dict[str, Any]]] = []
    receivers: dict[str, Callable[..., None]] = {}
    for name, signal in signals.ALL.items():
        receivers[name] = lambda name=name, **what: seen.append((name, what))
        signal.connect(receivers[name])
    signals.latched.connect(broken := lambda **what: 1 / 0)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            rollout.start("v2_score", "5,25", "1h", now=NOW, **WHO)
            flags.kill("check_bans", **WHO)
            flags.release("check_bans", **WHO)
            flags.latch("v2_score", rule="p95", value="9 ms", limit="5 ms", window="5 min", sample=9)
            flags.lift("v2_score", **WHO)
            assert seen == []
    finally:
        signals.latched.disconnect(broken)
        for name, signal in signals.ALL.items():
            signal.disconnect(receivers[name])
    assert [name for name, _ in seen] == ["rollout_step", "killed", "released", "latched", "lifted"]
    assert (seen[0][1]["step"], seen[0][1]["operations"]) == ("5", ("v2_score",))
    assert (seen[3][1]["operation"], seen[3][1]["rule"]) == ("v2_score", "p95")


# ---- a state machine


STEPS = ["shadow", "1", "5", "25", "50", "100"]
PLAN = [0.0, 1.0, 5.0, 25.0, 50.0, 100.0]
GROUP = ("v2_score", "internal_score")


class Machine(RuleBasedStateMachine):
    """Never wider than the plan, never forward after worse, never two steps at once; who is fast stays so."""

    def __init__(self) -> None:
        super().__init__()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE scorer_fast_flaglog, scorer_fast_operationflag, scorer_fast_killswitch")
            cursor.execute("TRUNCATE scorer_fast_latch, scorer_fast_rollout")
        self.now = NOW
        self.verdict = Verdict.FINE
        self.steps = 0  # that the plan may have left by now
        self.ended = False
        self.set_by_a_person = False
        rollout.start("score", ",".join(STEPS), "1h", now=self.now, **WHO)
        self.held_since = self.now

    def width(self) -> float:
        widths = {float(rollout.width(flag_queries.get_flag("default", name), name)[1]) for name in GROUP}
        assert len(widths) == 1, "a group goes together"
        return widths.pop()

    def stopped(self) -> bool:
        return bool(flag_queries.list_active_kills("default") or flag_queries.list_open_latches("default"))

    def row(self) -> sql.RolloutRow:
        return sql.list_rollouts("default")[0]

    @rule(minutes=st.sampled_from([1, 30, 60, 61, 600]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(verdict=st.sampled_from([Verdict.FINE, Verdict.FINE, Verdict.UNDECIDED, Verdict.NO_CONTROL, Verdict.WORSE]))
    def the_guard_says(self, verdict: Verdict) -> None:
        self.verdict = verdict

    @rule(workers=st.sampled_from([1, 2]))
    def workers_advance(self, workers: int) -> None:
        before, stopped, width = self.row(), self.stopped(), self.width()
        failures: list[BaseException] = []
        barrier = threading.Barrier(workers)

        def work() -> None:
            try:
                barrier.wait()
                rollout.advance(self.now, judge_as(self.verdict))
            except BaseException as error:
                failures.append(error)
            finally:
                connections.close_all()

        if workers == 1:
            rollout.advance(self.now, judge_as(self.verdict))
        else:
            threads = [threading.Thread(target=work) for _ in range(workers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert failures == []
        after = self.row()
        assert after.step - before.step in (0, 1), "never two steps at once"
        if after.step > before.step:
            assert before.state == "running"
            assert self.verdict is Verdict.FINE
            assert not stopped
            assert self.now - before.step_at >= HOUR
            assert after.step_at == self.now
        if before.state == "running" and self.verdict is Verdict.WORSE and not stopped:
            assert after.state == "rolled_back"
        assert self.width() >= width, "who is fast stays so"

    @rule(what=st.sampled_from(["all", "v2_score"]))
    def a_person_kills(self, what: str) -> None:
        flags.kill(what, **WHO)

    @rule(what=st.sampled_from(["all", "v2_score"]))
    def a_person_releases(self, what: str) -> None:
        flags.release(what, **WHO)

    @rule()
    def a_person_lifts(self) -> None:
        for latch in flag_queries.list_open_latches("default"):
            flags.lift(latch.operation, **WHO)

    @precondition(lambda self: self.row().state == "running")
    @rule()
    def a_person_pauses(self) -> None:
        rollout.pause("score", now=self.now, **WHO)

    @precondition(lambda self: self.row().state == "paused")
    @rule()
    def a_person_resumes(self) -> None:
        rollout.resume("score", now=self.now, **WHO)

    @invariant()
    def never_wider_than_the_plan(self) -> None:
        assert self.width() == PLAN[self.row().step]

    @invariant()
    def what_ended_stays_so(self) -> None:
        row = self.row()
        assert not (self.ended and row.state in ("running", "paused"))
        self.ended = row.state not in ("running", "paused")
        if row.state == "done":
            assert row.step == len(STEPS) - 1


@pytest.mark.django_db(transaction=True)
def test_whatever_happens_it_keeps_to_the_plan() -> None:
    run_state_machine_as_test(Machine, settings=hypothesis_settings(max_examples=25, stateful_step_count=30))
