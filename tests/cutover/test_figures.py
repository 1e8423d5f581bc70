"""Figures: exact enough, mergeable, added by all processes, and never in a request's way."""

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, connections, transaction
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from scorer_fast.cutover import figure_queries as sql
from scorer_fast.cutover import figures
from scorer_fast.cutover.figures import EMPTY, Figures, Outcome, bucket, upper_bound
from scorer_fast.models import HistogramBucket, ShadowCount

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
DURATIONS = st.floats(min_value=0, max_value=2000, allow_nan=False)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    figures.reset()
    yield
    figures.reset()


def histogram(*seconds: float, errors: int = 0) -> Figures:
    ok = Counter(bucket(each) for each in seconds)
    return Figures({Outcome.OK: ok, Outcome.FALLBACK: {0: errors}})


@given(DURATIONS)
def test_a_bucket_is_at_most_ten_percent_wide(seconds: float) -> None:
    above = upper_bound(bucket(seconds))
    if seconds >= 0.00001 and seconds < 1000:
        assert seconds < above <= seconds * 1.1 + 0.000002
    assert 0 <= bucket(seconds) < 2**15


@given(DURATIONS, DURATIONS)
def test_buckets_keep_the_order(one: float, other: float) -> None:
    if one <= other:
        assert bucket(one) <= bucket(other)
        assert upper_bound(bucket(one)) <= upper_bound(bucket(other))


@given(st.lists(DURATIONS, min_size=1, max_size=200), st.integers(min_value=1, max_value=100))
def test_a_percentile_is_that_of_the_durations(seconds: list[float], percent: int) -> None:
    exact = sorted(seconds)[max(0, math.ceil(len(seconds) * percent / 100) - 1)]
    assert histogram(*seconds).percentile(percent) == upper_bound(bucket(exact))


def test_without_requests_nothing_is_known() -> None:
    assert EMPTY.percentile(95) is None
    assert EMPTY.error_percent == 0
    assert histogram(0.1, 0.2, 0.3, errors=1).error_percent == 25


# ---- storing


@pytest.mark.django_db
def test_what_was_recorded_is_read_back_by_side() -> None:
    for milliseconds in range(1, 101):
        failed = milliseconds > 98
        figures.record("v2_score", "fast", milliseconds / 1000, Outcome.ERROR if failed else Outcome.OK)
    figures.record("v2_score", "legacy", 1.0, Outcome.OK)
    figures.record("check_bans", "fast", 5.0, Outcome.ERROR)
    assert figures.flush() == 102
    sides = figures.read_all(LONG_AGO)["v2_score"]
    assert set(sides) == {"fast", "legacy"}
    assert sides["fast"].served == 100
    assert sides["fast"].errors == 2
    assert sides["fast"].percentile(50) == pytest.approx(0.051)
    assert sides["fast"].percentile(95) == pytest.approx(0.096)
    assert sides["legacy"].percentile(95) == pytest.approx(1.1)
    assert figures.read_all(datetime.now(UTC) + timedelta(minutes=1)) == {}
    assert figures.flush() == 0


@pytest.mark.django_db
def test_processes_add_to_the_same_rows() -> None:
    for _ in range(3):
        figures.record("v2_score", "fast", 0.01, Outcome.ERROR)
        figures.count("v2_score", "matched", 2)
        figures.flush()
        figures.reset()
    rows = list(HistogramBucket.objects.values_list("count", "outcome"))
    assert (sum(count for count, _ in rows), {outcome for _, outcome in rows}) == (3, {"error"})
    assert sum(ShadowCount.objects.values_list("count", flat=True)) == 6


@pytest.mark.django_db(transaction=True)
def test_threads_that_flush_at_once_lose_nothing() -> None:
    """Rows go in key order, so that no two of them wait for each other."""
    minute = datetime(2026, 1, 1, tzinfo=UTC)
    cells = [
        sql.FigureRow(name, side, minute, "ok", index, 1, 1, 1)
        for name in "abc"
        for side in "xy"
        for index in range(40)
    ]
    failures: list[Exception] = []

    def add(turn: int) -> None:
        try:
            for _ in range(10):
                sql.add_figures("default", cells if turn % 2 else cells[::-1])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=add, args=(turn,)) for turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert set(HistogramBucket.objects.values_list("count", flat=True)) == {60}


@pytest.mark.django_db
def test_what_cannot_be_stored_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures.count("v2_score", "matched")
    with monkeypatch.context() as broken:
        broken.setattr(sql, "add_counts", lambda *_: (_ for _ in ()).throw(OperationalError("away")))
        with pytest.raises(OperationalError):
            figures.flush()
        assert HistogramBucket.objects.count() == 0
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures.flush()
    assert figures.read_all(LONG_AGO)["v2_score"]["fast"].served == 2


@pytest.mark.django_db
def test_a_failed_flush_leaves_the_callers_transaction_usable(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "FIGURES_FLUSH_SECONDS": 0}
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    monkeypatch.setattr(sql, "ADD_FIGURES", "SELECT no_such_column")
    with transaction.atomic():
        figures.flush_if_due()
        assert HistogramBucket.objects.count() == 0


@pytest.mark.django_db
def test_flushing_in_line_waits_until_it_is_due(settings: Settings) -> None:
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures.flush_if_due()  # the first of a process is due: it may be its last
    assert HistogramBucket.objects.count() == 1
    figures.record("v2_score", "legacy", 0.01, Outcome.OK)
    figures.flush_if_due()
    assert HistogramBucket.objects.count() == 1
    settings.SCORER_FAST = {**settings.SCORER_FAST, "FIGURES_FLUSH_SECONDS": 0}
    figures.flush_if_due()
    assert HistogramBucket.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_request_waits_a_moment_for_its_figures_and_no_longer() -> None:
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures.flush()
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE scorer_fast_histogrambucket IN ACCESS EXCLUSIVE MODE")
        figures._recorder.flushed_at = float("-inf")
        started = time.monotonic()
        figures.flush_if_due()
        assert figures.FLUSH_SECONDS <= time.monotonic() - started < figures.FLUSH_SECONDS + 1
    finally:
        other.close()
    assert figures.flush() == 1  # kept


# ---- never in the way


def test_recording_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    figures.record("v2_score", "fast", math.nan, Outcome.OK)
    figures.record("v2_score", "fast", "much", Outcome.OK)  # type: ignore[arg-type]
    monkeypatch.setattr(figures, "_recorder", None)
    figures.record("v2_score", "fast", 0.1, Outcome.OK)
    figures.count("v2_score", "matched")
    monkeypatch.undo()


def test_recording_asks_nobody(django_assert_num_queries: object) -> None:
    """Without access to the database this test would fail if recording asked it."""
    for _ in range(1000):
        figures.record("v2_score", "fast", 0.01, Outcome.OK)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MOST_CELLS", 3)
    for index in range(10):
        figures.record("v2_score", "fast", 0.01 * (index + 1), Outcome.OK)
        figures.count(f"operation {index}", "matched")
    assert len(figures._recorder.figures) == 3
    assert figures._recorder.dropped == 7
    assert len(figures._recorder.counts) == 3


@pytest.mark.django_db(transaction=True)
def test_a_thread_flushes_and_gives_its_connection_back(settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 0.05, "GUARD": {"INTERVAL_SECONDS": 0}}
    before = _connections()
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures.count("v2_score", "matched")
    until = time.monotonic() + 10
    while time.monotonic() < until and not ShadowCount.objects.exists():
        time.sleep(0.02)
    figures.reset()
    assert HistogramBucket.objects.count() == 1
    assert ShadowCount.objects.count() == 1
    while time.monotonic() < until and _connections() > before:
        time.sleep(0.02)  # the server notices a moment later
    assert _connections() <= before


@pytest.mark.django_db(transaction=True)
def test_what_is_forgotten_is_not_flushed_on_the_way(settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 60}
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures.count("v2_score", "matched")
    thread = figures._recorder._thread
    assert thread is not None
    figures.reset()
    assert not thread.is_alive()
    assert not HistogramBucket.objects.exists()
    assert not ShadowCount.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_thread_outlives_a_database_that_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 0.05}
    judged = threading.Event()
    monkeypatch.setitem(figures._afterwards, "guard", judged.set)
    attempts: list[int] = []
    store = sql.add_figures

    def flaky(alias: str, rows: list[sql.FigureRow]) -> int:
        attempts.append(1)
        if len(attempts) < 4:
            raise OperationalError("away")
        return store(alias, rows)

    monkeypatch.setattr(sql, "add_figures", flaky)
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    until = time.monotonic() + 10
    while time.monotonic() < until and not HistogramBucket.objects.exists():
        time.sleep(0.02)
    figures.reset()
    assert HistogramBucket.objects.count() == 1
    assert judged.is_set()
    assert sum("figures" in record.message for record in caplog.records) == 1


@pytest.mark.django_db(transaction=True)
def test_a_process_that_ends_leaves_its_figures_and_the_judging_to_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A last round at the end of each process would also count as the one that was due."""
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 60}
    judged = threading.Event()
    monkeypatch.setitem(figures._afterwards, "guard", judged.set)
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    figures._recorder.end()
    assert HistogramBucket.objects.count() == 1
    assert not judged.is_set()


def test_no_thread_where_none_is_wanted() -> None:
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    assert all(thread.name != "scorer-fast-figures" for thread in threading.enumerate())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_starts_empty_and_is_not_blocked_by_its_parents_lock() -> None:
    figures.record("v2_score", "fast", 0.01, Outcome.OK)
    with figures._recorder.lock:
        child = os.fork()
        if child == 0:
            empty = not figures._recorder.figures
            figures.record("v2_score", "fast", 0.01, Outcome.OK)
            os._exit(0 if empty and len(figures._recorder.figures) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(figures._recorder.figures) == 1


def _connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        number: int = cursor.fetchone()[0]
    return number


# ---- clocks and callers


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [-1, 1])
def test_minutes_are_the_databases_whatever_a_server_thinks(hours: int) -> None:
    """Two servers an hour apart count into the same minute."""
    for ahead in (0, hours * 3600):
        figures.reset()
        figures._recorder._ahead += ahead
        figures.record("v2_score", "fast", 0.01, Outcome.OK)
        figures.count("v2_score", "matched")
        figures.flush()
    assert [row.count for row in HistogramBucket.objects.all()] in ([2], [1, 1])  # a minute may have begun
    newest = max(HistogramBucket.objects.values_list("minute", flat=True))
    assert abs(datetime.now(UTC) - newest) < timedelta(minutes=2)
    assert sum(ShadowCount.objects.values_list("count", flat=True)) == 2


@pytest.mark.django_db
def test_a_caller_counts_once_a_minute_for_each_end_and_is_a_bit() -> None:
    for _ in range(50):
        figures.record("v2_score", "fast", 0.01, Outcome.OK, 64)
        figures.record("v2_score", "fast", 0.01, Outcome.FALLBACK, 64)
    for caller in range(3):
        figures.record("v2_score", "legacy", 0.01, Outcome.OK, caller)
        figures.record("v2_score", "legacy", 0.01, Outcome.REFUSED, caller)
    for _ in range(4):
        figures.record("cache_weights", "fast", 0.01, Outcome.OK)  # nobody known: each counts
    figures.flush()
    rows = HistogramBucket.objects.values_list("operation", "side", "outcome", "count", "distinct", "callers")
    assert {row[:3]: row[3:] for row in rows} == {
        ("v2_score", "fast", "ok"): (50, 1, 0b10),
        ("v2_score", "fast", "fallback"): (50, 1, 0b10),
        ("v2_score", "legacy", "ok"): (3, 3, 0b111),
        ("v2_score", "legacy", "refused"): (3, 0, 0b111),
        ("cache_weights", "fast", "ok"): (4, 4, 0),
    }
