"""The true state: who answers, how fast, how often it failed, what stops it, and what needs a person."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client
from pytest_django import Settings

from scorer_fast.cutover import figure_queries, figures, flags, rollout, state, state_queries
from scorer_fast.cutover.figures import Outcome
from scorer_fast.cutover.shadow import finding_queries
from scorer_fast.cutover.state import OperationState, Stands
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.management.scorer_fast_commands._changes import folded
from scorer_fast.models import HistogramBucket
from tests.guards.statements import sent

from .conftest import MIDDLEWARE, SCORE

pytestmark = pytest.mark.django_db
WHY = {"reason": "a test", "by": "ann"}
FastPath = Callable[[Callable[[HttpRequest], HttpResponse]], None]


@pytest.fixture(autouse=True)
def behind(settings: Settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE]


def read(*only: str) -> state.State:
    return state.read(datetime.now(UTC), only)


def of(operation: str) -> OperationState:
    return read().operations[operation]


def page(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "status", *arguments, stdout=out)
    return out.getvalue()


def measure(operation: str, side: str, milliseconds: float, *, times: int = 100, failed: int = 0) -> None:
    for number in range(times):
        outcome = Outcome.OK if number >= failed else Outcome.FALLBACK if side == "fast" else Outcome.ERROR
        figures.record(operation, side, milliseconds / 1000, outcome)


def test_both_sides_are_told_with_the_measured_share() -> None:
    flags.set_mode("v2_score", "split", 25, **WHY)
    measure("v2_score", "fast", 9.6, times=30, failed=3)
    figures.count("v2_score", "fallbacks", 3)
    measure("v2_score", "legacy", 160, times=70)
    for _ in range(3):
        figures.record("v2_score", "legacy", 0.16, Outcome.STOOD_IN, None)
    figures.flush()
    one = of("v2_score")
    assert (one.asked, one.who, one.answers, one.asked_share) == ("split 25 %", "both", "both", 25.0)
    assert one.share == pytest.approx(27.0)  # 27 of 100: the host answered the other three
    assert one.per_minute == 10.0
    assert (one.fast.requests, one.fast.errors, one.fallbacks) == (30, 3, 3)
    assert one.fast.p95_ms == pytest.approx(9.6, rel=0.1)
    assert one.host.p95_ms == pytest.approx(160, rel=0.1)
    assert (one.updated_by, one.reason) == ("ann", "a test")
    assert of("check_bans").share is None


@pytest.mark.parametrize(
    "outcome", [Outcome.FALLBACK, Outcome.CIRCUIT_OPEN, Outcome.HANDED_OVER, Outcome.INFRASTRUCTURE]
)
def test_what_the_host_stood_in_for_was_not_answered_by_the_fast_path(outcome: Outcome) -> None:
    flags.set_mode("v2_score", "fast", **WHY)
    measure("v2_score", "fast", 5, times=40)
    for _ in range(10):
        figures.record("v2_score", "fast", 0.001, outcome, None)
        figures.record("v2_score", "legacy", 0.16, Outcome.STOOD_IN, None)
    figures.flush()
    assert of("v2_score").share == 80.0


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome not in figures.ANSWERED])
def test_how_long_it_takes_is_said_of_what_a_side_served(outcome: Outcome) -> None:
    """A flood of refusals, quick as they are, would make the slowest service look fast."""
    flags.set_mode("v2_score", "split", 50, **WHY)
    measure("v2_score", "fast", 50, times=20)
    figures.record("v2_score", "fast", 0.05, Outcome.ERROR, None)
    for side in ("fast", "legacy"):
        for _ in range(200):
            figures.record("v2_score", side, 0.0002, outcome, None)
    figures.flush()
    one = of("v2_score")
    assert [one.fast.p50_ms, one.fast.p95_ms, one.fast.p99_ms] == pytest.approx([50] * 3, rel=0.1)
    assert [one.host.p50_ms, one.host.p95_ms, one.host.p99_ms] == [None] * 3
    if outcome is not Outcome.FALLBACK:  # which is an error, though not the fast path's answer
        assert one.fast.error_percent == pytest.approx(100 / 21)
        assert (one.host.served, one.host.error_percent) == (0, 0.0)


def test_what_became_of_the_requests_is_shown_class_by_class() -> None:
    flags.set_mode("v2_score", "split", 50, **WHY)
    for outcome in Outcome:
        figures.record("v2_score", "fast", 0.01, outcome, None)
    figures.record("v2_score", "legacy", 0.01, Outcome.REFUSED, None)
    figures.flush()
    one = of("v2_score")
    assert one.fast.outcomes == {outcome.value: 1 for outcome in Outcome}
    assert one.host.outcomes == {"refused": 1}
    words = " ".join(page("v2_score").split())
    assert "1 refused, 1 went away, 1 timed out, 1 infrastructure, 1 handed over, 1 first use, 1 stood in" in words


def test_the_figures_are_of_the_last_minutes_alone() -> None:
    measure("v2_score", "fast", 5)
    old = (datetime.now(UTC) - state.RECENT - timedelta(minutes=2)).replace(second=0, microsecond=0)
    figure_queries.add_figures("default", [figure_queries.FigureRow("v2_score", "fast", old, "ok", 100, 50, 50, 1)])
    figures.flush()
    assert of("v2_score").fast.requests == 100


def test_an_open_circuit_is_seen(installed: Settings, fast_path: FastPath, client: Client) -> None:
    """A fast path that throws: after a few failures the host answers, and everybody is told so."""

    def broken(request: HttpRequest) -> HttpResponse:
        raise RuntimeError("broken")

    installed.SCORER_FAST = {"FLAGS_INLINE": True, "FLAGS_REFRESH_SECONDS": 0, "CIRCUIT_FAILURES": 5}
    flags.set_mode("v2_score", "fast", **WHY)
    fast_path(broken)
    for _ in range(20):
        client.get(SCORE)
    figures.flush()
    one = of("v2_score")
    assert one.who == "legacy (circuit open)"
    assert (one.circuit.opened, one.circuit.turned_away, one.fallbacks) == (1, 15, 5)
    assert one.circuit.since is not None
    assert one.share == 0.0
    assert "legacy (circuit open)" in page()
    assert "opened 1 time: the host answered 15 requests instead" in page()


def latch(operation: str) -> None:
    flags.latch(operation, rule="p95", value="9 ms", limit="5 ms", window="5 min", sample=9)


@pytest.mark.parametrize(
    ("stop", "who"),
    [
        (lambda: flags.kill("all", **WHY), "legacy (kill switch)"),
        (lambda: flags.kill("v2_score", **WHY), "legacy (kill switch)"),
        (lambda: latch("v2_score"), "legacy (latch)"),
    ],
)
def test_what_stops_the_fast_path_is_said(stop: Callable[[], object], who: str) -> None:
    flags.set_mode("v2_score", "fast", **WHY)
    stop()
    assert of("v2_score").who == who
    assert read().needs


def test_the_environment_and_the_setting_stop_too(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    flags.set_mode("v2_score", "fast", **WHY)
    monkeypatch.setenv("SCORER_FAST_KILL", "score")
    settings.SCORER_FAST = {"KILL": True}
    assert of("v2_score").stopped_by == ("environment variable SCORER_FAST_KILL", 'setting SCORER_FAST["KILL"]')
    assert of("check_bans").who == 'legacy (setting SCORER_FAST["KILL"])'


def test_where_it_stands(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read().stands is Stands.BEHIND
    assert of("v2_score").who == "legacy (no flag)"
    settings.MIDDLEWARE = []
    assert read().stands is Stands.ALONE
    assert {one.who for one in read().operations.values()} == {"fast"}
    assert "alone: the fast path answers every request" in page()
    monkeypatch.setenv("SCORER_FAST_HOST_HANDLER", "v2.handler")
    assert read().stands is Stands.LAMBDA
    monkeypatch.delenv("SCORER_FAST_HOST_HANDLER")
    settings.ROOT_URLCONF = "tests.host.urls"
    flags.set_mode("v2_score", "fast", **WHY)
    assert read().stands is Stands.ABSENT
    assert of("v2_score").who == "legacy (not installed)"
    assert read().needs[0].startswith("the flags move nothing")


def test_the_consistency_rate_leaves_deliberate_differences_aside() -> None:
    flags.set_mode("v2_score", "shadow", **WHY)
    for outcome, amount in {"matched": 95, "mismatched": 5, "deliberate": 50, "queue_full": 7}.items():
        figures.count("v2_score", outcome, amount)
    figures.flush()
    now = datetime.now(UTC)
    for path in ("body.score", "body.stamps"):
        key = finding_queries.GroupKey("v2_score", "mismatch", path, "value", "")
        finding_queries.upsert_mismatch("default", key, now, most=9)
    one = of("v2_score")
    assert (one.consistency, one.compared, one.deliberate, one.not_compared) == (95.0, 100, 50, 7)
    assert one.mismatches == {"mismatch": 2}
    assert "v2_score: 2 groups of real mismatches within the hour" in read().needs


def test_no_line_is_longer_than_a_hundred_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    for operation in OPERATIONS:
        flags.set_mode(operation.id, "split", "12.25", **WHY)
        measure(operation.id, "fast", 5000, times=5, failed=5)
        measure(operation.id, "legacy", 5000, times=5, failed=5)
        flags.latch(operation.id, rule="p95_ratio", value="1 " * 60, limit="limit " * 30, window="w" * 30, sample=10**9)
    flags.kill("all", reason="for a long reason " * 20, by="somebody with a name")
    figures.flush()
    monkeypatch.setenv("SCORER_FAST_KILL", "score")
    for text in (page(), page("all")):
        assert max(len(line) for line in text.splitlines()) <= 100


def test_a_header_kills_and_latches_first_and_a_last_line_for_people() -> None:
    assert page().splitlines()[0].startswith("operation ")
    assert page().splitlines()[-1] == "Nothing needs a person."
    flags.set_mode("v2_score", "fast", **WHY)
    flags.kill("v2_score", reason="smoke", by="ben")
    lines = page().splitlines()
    assert lines[0].startswith("killed: v2_score since ")
    assert lines[0].endswith("by ben: smoke")
    assert lines[1].startswith("operation ")
    assert lines[-1] == "1 thing needs a person: v2_score"


def test_a_kill_switch_that_holds_nothing_back_is_said_to_do_so() -> None:
    flags.kill("all", reason="smoke", by="ben")
    assert "(holds nothing back now: the flags say legacy)" in page()
    assert page("--check").splitlines()[-1] == "Nothing needs a person."
    flags.set_mode("gtc_stake", "shadow", **WHY)
    assert "holds nothing back" not in page()


def test_a_limit_is_said_once() -> None:
    flags.latch("v2_score", rule="errors", value="errors 5 % (limit 1 points)", limit="1 points", window="", sample=9)
    flags.latch("check_bans", rule="errors", value="5 %", limit="1 points", window="", sample=9)
    assert "v2_score: latched by errors: errors 5 % (limit 1 points), since" in read().needs[0]
    assert "check_bans: latched by errors: 5 %, limit 1 points, since" in read().needs[1]


def test_a_number_and_its_percent_sign_stay_on_one_line() -> None:
    texts = [f"{'x' * length} 50 % of it" for length in range(90, 100)]
    assert [text for text in texts if any(line.strip().startswith("%") for line in folded(text))] == []
    assert all(" ".join(" ".join(folded(text)).split()) == text for text in texts)


def test_since_when_is_the_flags_last_change_and_no_line_of_a_rollout() -> None:
    now = datetime.now(UTC)
    rollout.start("v2_score", "shadow,5", "1h", **WHY, now=now)
    flags.set_mode("v2_score", "split", 5, reason="by hand", by="ben")
    rollout.abort("v2_score", reason="enough", by="cid", now=now)
    one = read().operations["v2_score"]
    assert (one.mode, one.updated_by, one.reason) == ("legacy", "cid", "enough")
    flags.set_mode("check_bans", "shadow", **WHY)
    rollout.start("check_bans", "shadow,5", "1h", **WHY, now=now)
    flags.set_mode("check_bans", "split", 5, reason="by hand", by="ben")
    one = read().operations["check_bans"]
    assert (one.updated_by, one.reason) == ("ben", "by hand")


def test_operations_are_picked_and_told_in_full() -> None:
    flags.set_mode("check_bans", "shadow", **WHY)
    text = page("check_bans", "score")
    assert [name for name in ("check_bans", "v2_score", "internal_score", "gtc_stake") if f"\n{name} " in text] == [
        "check_bans", "v2_score", "internal_score",
    ]  # fmt: skip
    assert "POST /internal/check-bans (group internal)" in text
    assert "by ann: a test" in text


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    def shown(**options: bool) -> str:
        terminal = Terminal()
        call_command("scorer_fast", "status", stdout=terminal, **options)
        return terminal.getvalue()

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in shown()
    assert "\x1b[" not in shown(no_color=True)
    assert "\x1b[" not in page()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in shown()


def test_a_monitor_is_told_by_the_exit_code() -> None:
    assert "Nothing needs a person." in page("--check")
    flags.set_mode("v2_score", "fast", **WHY)
    flags.kill("all", **WHY)
    with pytest.raises(CommandError, match=r"all: killed since .* by ann: a test") as raised:
        page("--check")
    assert raised.value.returncode == 2
    assert page("--check", "check_bans")


def test_for_programs() -> None:
    flags.set_mode("v2_score", "split", 5, **WHY)
    measure("v2_score", "fast", 5)
    figures.flush()
    found = json.loads(page("--json", "v2_score"))
    (one,) = found["operations"]
    assert (one["asked"], one["who"], one["share"], one["fast"]["requests"]) == ("split 5 %", "both", 100.0, 100)
    assert found["stands"] == "behind"


def test_watch_draws_again_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("scorer_fast.management.scorer_fast_commands.status.time", SimpleNamespace(sleep=wait))
    assert page("--watch").count("\x1b[H\x1b[2J") == 3
    assert waits == [2, 2, 2]


def test_it_costs_a_bounded_number_of_statements() -> None:
    for operation in OPERATIONS:
        flags.set_mode(operation.id, "fast", **WHY)
        measure(operation.id, "fast", 5)
    figures.flush()
    with sent() as names:
        read()
    assert names == [
        "LIST_FLAGS", "LIST_ACTIVE_KILLS", "LIST_OPEN_LATCHES", "LIST_VERDICTS", "LIST_SERIES", "LIST_BUCKETS",
        "LIST_OUTCOMES", "LIST_GROUPS", "LIST_ROLLOUTS", "LIST_LAST_CHANGES",
    ]  # fmt: skip


def test_older_minutes_become_hours_and_nothing_is_lost() -> None:
    hour = datetime(2026, 6, 1, 3, tzinfo=UTC)
    rows = [
        figure_queries.FigureRow("v2_score", side, hour + timedelta(minutes=minute), outcome, 100, 2, 1, 1 << minute)
        for side in ("fast", "legacy")
        for outcome in ("ok", "error")
        for minute in (0, 7, 59, 60, 61)
    ]
    figure_queries.add_figures("default", rows)
    counts = [
        figure_queries.CountRow("v2_score", hour + timedelta(minutes=minute), "matched", 3, 1) for minute in (0, 9)
    ]
    figure_queries.add_counts("default", counts)
    before = figures.read_all(hour)
    state_queries.fold("default", hour + timedelta(minutes=90))
    assert figures.read_all(hour) == before
    cells = HistogramBucket.objects.order_by("minute").values_list("minute", "count", "distinct", "callers")
    folded = [cell for cell in cells if cell[0] == hour]
    assert folded == [(hour, 6, 3, 1 | 1 << 7 | 1 << 59)] * 4
    assert {cell[0] for cell in cells} == {hour, hour + timedelta(hours=1), hour + timedelta(minutes=61)}
    assert [row[:3] for row in state_queries.list_outcomes("default", hour, hour)] == [("v2_score", "matched", 6)]
    state_queries.fold("default", hour + timedelta(minutes=90))
    assert figures.read_all(hour) == before
