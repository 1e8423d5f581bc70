"""Who answers: the order of switches, the snapshot that never asks on a request's time, and the log."""

import os
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test import RequestFactory
from pytest_django import Settings

from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover import flags, split
from scorer_fast.cutover.flags import Flag, Mode, Route, Snapshot
from scorer_fast.http import call
from scorer_fast.http.catalogue import BY_ID, OPERATIONS
from scorer_fast.models import FlagLog, KillSwitch, Latch, OperationFlag
from scorer_fast.process import freeze_threads

from .conftest import OWNER, SCORE

OPERATION = BY_ID["v2_score"]
TOKEN = "test-internal-token"


def wait_for(true: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


def choose(flag: Flag | None, path: str = SCORE, **headers: str) -> Route:
    request = RequestFactory().get(path, headers=headers)
    killed = latched = frozenset[str]()
    given = {} if flag is None else {OPERATION.id: flag}
    return flags.choose(OPERATION, request, Snapshot(True, given, killed, latched))


# ---- the order of switches


def test_nothing_known_is_the_host_as_it_was() -> None:
    assert flags.choose(OPERATION, RequestFactory().get(SCORE), flags.UNKNOWN) is Route.PLAIN


@pytest.mark.parametrize(
    ("flag", "route"),
    [
        (None, Route.PLAIN),
        (Flag(Mode.LEGACY), Route.PLAIN),
        (Flag(Mode.SHADOW), Route.SHADOW),
        (Flag(Mode.SPLIT, 0), Route.LEGACY),
        (Flag(Mode.SPLIT, 10_000), Route.FAST),
        (Flag(Mode.FAST), Route.FAST),
    ],
)
def test_every_mode_has_its_route(flag: Flag | None, route: Route) -> None:
    assert choose(flag) is route


def test_a_split_follows_the_bucket_to_the_hundredth_of_a_percent() -> None:
    bucket = split.bucket("scorer_fast", OPERATION.group, f"address:{OWNER}")
    assert choose(Flag(Mode.SPLIT, bucket)) is Route.LEGACY
    assert choose(Flag(Mode.SPLIT, bucket + 1)) is Route.FAST


@pytest.mark.parametrize("flag", [Flag(Mode.SPLIT, 1), Flag(Mode.FAST)])
def test_whom_the_host_answers_besides_the_fast_path_is_compared(flag: Flag, settings: Settings) -> None:
    settings.SCORER_FAST = {"CONTROL_PERCENT": 50}
    requests = [RequestFactory().get(f"/v2/stamps/1/score/0x{number:040x}") for number in range(40)]
    snapshot = Snapshot(True, {OPERATION.id: flag})
    assert Route.SHADOW in {flags.choose(OPERATION, request, snapshot) for request in requests}
    freeze_threads()  # there clients would wait for it
    try:
        assert Route.SHADOW not in {flags.choose(OPERATION, request, snapshot) for request in requests}
    finally:
        freeze_threads(False)


def test_another_salt_deals_anew(settings: Settings) -> None:
    def fast(salt: str) -> set[str]:
        settings.SCORER_FAST = {"SPLIT_SALT": salt}
        paths = [f"/v2/stamps/1/score/0x{number:040x}" for number in range(200)]
        return {path for path in paths if choose(Flag(Mode.SPLIT, 5000), path) is Route.FAST}

    assert fast("one") == fast("one") != fast("another")


STOPS: dict[str, Callable[[pytest.MonkeyPatch, Settings], Snapshot]] = {}


def stop(name: str) -> Any:
    def keep(function: Any) -> Any:
        STOPS[name] = function
        return function

    return keep


FAST = {OPERATION.id: Flag(Mode.FAST, allow=frozenset({OWNER}))}


@stop("environment")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    patch.setenv("SCORER_FAST_KILL", "1")
    return Snapshot(True, FAST)


@stop("environment, by operation")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    patch.setenv("SCORER_FAST_KILL", "check_bans, v2_score")
    return Snapshot(True, FAST)


@stop("environment, by group")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    patch.setenv("SCORER_FAST_KILL", "score")
    return Snapshot(True, FAST)


@stop("environment, misspelt")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    patch.setenv("SCORER_FAST_KILL", "v2_scroe")
    return Snapshot(True, FAST)


@stop("setting")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    settings.SCORER_FAST = {"KILL": True}
    return Snapshot(True, FAST)


@stop("setting, by operation")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    settings.SCORER_FAST = {"KILL": ["v2_score"]}
    return Snapshot(True, FAST)


@stop("database")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    return Snapshot(True, FAST, killed=frozenset({"v2_score"}))


@stop("latch")
def _(patch: pytest.MonkeyPatch, settings: Settings) -> Snapshot:
    return Snapshot(True, FAST, latched=frozenset({"v2_score"}))


@pytest.mark.parametrize("name", STOPS)
def test_no_header_and_no_list_overrides_a_kill_switch_or_a_latch(
    name: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    snapshot = STOPS[name](monkeypatch, settings)
    for header in ({}, {"X-Use-Rust-Scorer": "true"}, {"X-Use-Fast-Scorer": "true"}):
        request = RequestFactory().get(SCORE, headers=header)
        assert flags.choose(OPERATION, request, snapshot) is Route.LEGACY


def test_a_kill_switch_stops_shadow_reads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_FAST_KILL", "1")
    assert choose(Flag(Mode.SHADOW)) is Route.LEGACY


@pytest.mark.parametrize("value", ["0", "", "false", "no", "check_bans", "embed,cache"])
def test_a_kill_variable_stops_nothing_it_does_not_name(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_FAST_KILL", value)
    assert choose(Flag(Mode.FAST)) is Route.FAST


@pytest.mark.parametrize(
    ("headers", "flag", "route"),
    [
        ({"X-Use-Rust-Scorer": "true"}, Flag(Mode.SPLIT, 0), Route.FAST),
        ({"X-Use-Rust-Scorer": "TRUE "}, Flag(Mode.SPLIT, 0), Route.FAST),
        ({"X-Use-Rust-Scorer": "false"}, Flag(Mode.FAST), Route.FAST),
        ({"X-Use-Fast-Scorer": "true"}, Flag(Mode.SPLIT, 0), Route.FAST),
        ({"X-Use-Fast-Scorer": "false"}, Flag(Mode.FAST), Route.LEGACY),
        ({"X-Use-Fast-Scorer": "false", "X-Use-Rust-Scorer": "true"}, Flag(Mode.FAST), Route.LEGACY),
        ({"X-Use-Fast-Scorer": "maybe", "X-Use-Rust-Scorer": "true"}, Flag(Mode.SPLIT, 0), Route.FAST),
        ({"X-Use-Fast-Scorer": "true"}, Flag(Mode.SPLIT, 0, deny=frozenset({OWNER})), Route.FAST),
        ({"X-Use-Fast-Scorer": "true"}, Flag(Mode.LEGACY), Route.PLAIN),
        ({"X-Use-Fast-Scorer": "true"}, Flag(Mode.SHADOW), Route.SHADOW),
    ],
)
def test_a_header_opts_in_or_out_where_there_is_a_choice(headers: dict[str, str], flag: Flag, route: Route) -> None:
    assert choose(flag, **headers) is route


@pytest.mark.parametrize(
    ("allowed", "authorization", "route"),
    [
        ("all", "", Route.FAST),
        ("internal", "", Route.LEGACY),
        ("internal", "wrong", Route.LEGACY),
        ("internal", TOKEN, Route.FAST),
        ("none", TOKEN, Route.LEGACY),
    ],
)
def test_who_may_choose_is_a_setting(allowed: str, authorization: str, route: Route, settings: Settings) -> None:
    settings.SCORER_FAST = {"OPT_HEADER_ALLOWED": allowed}
    headers = {"X-Use-Fast-Scorer": "true", "Authorization": authorization}
    assert choose(Flag(Mode.SPLIT, 0), **headers) is route


def test_an_empty_internal_token_lets_nobody_choose(settings: Settings) -> None:
    settings.SCORER_FAST, settings.CGRANTS_API_TOKEN = {"OPT_HEADER_ALLOWED": "internal"}, ""
    assert choose(Flag(Mode.SPLIT, 0), **{"X-Use-Fast-Scorer": "true", "Authorization": ""}) is Route.LEGACY


def test_header_names_are_a_setting(settings: Settings) -> None:
    settings.SCORER_FAST = {"OPT_HEADERS": {"X-Try": ("true",)}}
    assert choose(Flag(Mode.SPLIT, 0), **{"X-Try": "true"}) is Route.FAST
    assert choose(Flag(Mode.SPLIT, 0), **{"X-Use-Rust-Scorer": "true"}) is Route.LEGACY


@pytest.mark.parametrize(
    ("flag", "route"),
    [
        (Flag(Mode.SPLIT, 0, allow=frozenset({OWNER})), Route.FAST),
        (Flag(Mode.SPLIT, 10_000, deny=frozenset({OWNER})), Route.LEGACY),
        (Flag(Mode.FAST, deny=frozenset({OWNER})), Route.LEGACY),
        (Flag(Mode.FAST, allow=frozenset({OWNER}), deny=frozenset({OWNER})), Route.LEGACY),
        (Flag(Mode.FAST, deny=frozenset({"0x" + "b2" * 20})), Route.FAST),
    ],
)
def test_lists_come_before_the_percentage_and_deny_before_allow(flag: Flag, route: Route) -> None:
    assert choose(flag, SCORE.replace("a1", "A1")) is route


@pytest.mark.parametrize("flag", [Flag(Mode.LEGACY), Flag(Mode.SHADOW), Flag(Mode.FAST), Flag(Mode.SPLIT, 10_000)])
def test_a_body_is_read_only_where_the_split_needs_it(flag: Flag) -> None:
    operation = BY_ID["check_bans"]
    request = RequestFactory().post("/internal/check-bans", b"[]", content_type="application/json")
    flags.choose(operation, request, Snapshot(True, {operation.id: flag}))
    assert not hasattr(request, "_body")
    flags.choose(operation, request, Snapshot(True, {operation.id: Flag(Mode.SPLIT, 1)}))
    assert hasattr(request, "_body")


@pytest.mark.parametrize(
    ("modes", "route"),
    [
        ({}, Route.PLAIN),
        ({"*": "fast"}, Route.FAST),
        ({"*": "fast", "score": "shadow"}, Route.SHADOW),
        ({"score": "shadow", "v2_score": "fast"}, Route.FAST),
        ({"v2_score": "no such mode"}, Route.PLAIN),
    ],
)
def test_a_setting_holds_the_mode_of_operations_without_a_row(
    modes: dict[str, str], route: Route, settings: Settings
) -> None:
    settings.SCORER_FAST = {"MODES": modes}
    assert choose(None) is route
    assert choose(Flag(Mode.LEGACY)) is Route.PLAIN


# ---- the snapshot


@pytest.mark.django_db(transaction=True)
def test_the_thread_looks_and_requests_ask_nobody(settings: Settings, django_assert_num_queries: Any) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 0.1}
    flags.set_mode("v2_score", "split", "12.34", "a first look", "test")
    with django_assert_num_queries(1):  # the first request of a process looks itself
        assert flags.current().known
    with django_assert_num_queries(0):
        assert flags.current().flags == {"v2_score": Flag(Mode.SPLIT, 1234)}
    flags.set_mode("v2_score", "fast", None, "a second", "test")
    flags.kill("check_bans", reason="trouble", by="test")
    flags.latch("allow_list", rule="p95", value="12 ms", limit="10 ms", window="5 min", sample=900)
    wanted = Snapshot(True, {"v2_score": Flag(Mode.FAST)}, frozenset({"check_bans"}), frozenset({"allow_list"}))
    wait_for(lambda: flags.current() == wanted)


@pytest.mark.django_db(transaction=True)
def test_the_thread_keeps_its_connection_and_asks_one_statement_a_look(settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 0.05}
    others = (
        "SELECT pid, query_start FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND query LIKE '%%scorer_fast_flags_1%%'"
    )
    seen: set[tuple[int, object]] = set()

    def has_looked_often() -> bool:
        flags.current()
        with connection.cursor() as cursor:
            cursor.execute(others)
            seen.update(cursor.fetchall())
        return len(seen) >= 5

    wait_for(has_looked_often)
    assert len({pid for pid, _ in seen}) == 1


@pytest.mark.django_db(transaction=True)
def test_a_locked_table_of_flags_holds_nobody_up(settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 60}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE scorer_fast_operationflag IN ACCESS EXCLUSIVE MODE")
        found: list[object] = []
        started = time.monotonic()
        asker = threading.Thread(target=lambda: (found.append(flags.current()), connections.close_all()))
        asker.start()
        asker.join(5)
        assert found == [flags.UNKNOWN]
        assert time.monotonic() - started < 2


@pytest.mark.django_db(transaction=True)
def test_the_store_being_away_keeps_the_last_known(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 0.05}
    flags.set_mode("v2_score", "fast", None, "on", "test")
    flags.current()
    wait_for(lambda: flags.current().known)
    looks = []
    listed = sql.read_flags

    def away(alias: str) -> Any:
        looks.append(alias)
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT * FROM a_table_that_is_not_there")

    monkeypatch.setattr(sql, "read_flags", away)
    wait_for(lambda: len(looks) > 3)
    assert flags.current().flags == {"v2_score": Flag(Mode.FAST)}
    assert [record.getMessage() for record in caplog.records if "cannot be read" in record.getMessage()] == [
        "flags cannot be read; the last known ones hold (ProgrammingError)"
    ]
    monkeypatch.setattr(sql, "read_flags", listed)
    flags.set_mode("v2_score", "legacy", None, "off", "test")
    wait_for(lambda: flags.current().flags == {"v2_score": Flag(Mode.LEGACY)})


@pytest.mark.django_db(transaction=True)
def test_a_store_never_reached_means_the_host(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SCORER_FAST = {"FLAGS_INLINE": True, "MODES": {"*": "fast"}}
    monkeypatch.setattr(sql, "read_flags", lambda alias: 1 / 0)
    assert flags.choose(OPERATION, RequestFactory().get(SCORE), flags.current()) is Route.PLAIN


@pytest.mark.django_db(transaction=True)
def test_in_line_a_look_serves_for_the_interval(settings: Settings, django_assert_num_queries: Any) -> None:
    settings.SCORER_FAST = {"FLAGS_INLINE": True, "FLAGS_REFRESH_SECONDS": 0.3}
    with django_assert_num_queries(1):
        assert flags.current().known
    with django_assert_num_queries(0):
        flags.current()
    OperationFlag.objects.create(operation="v2_score", mode="fast", updated_at="2026-01-01T00:00Z", updated_by="x")
    assert not flags.current().flags
    flags._watch.looked_at -= 0.35
    assert flags.current().flags == {"v2_score": Flag(Mode.FAST)}


@pytest.mark.django_db
def test_in_line_inside_a_transaction_nothing_is_kept(settings: Settings) -> None:
    settings.SCORER_FAST = {"FLAGS_INLINE": True}
    with transaction.atomic():
        flags.set_mode("v2_score", "fast", None, "rolled back below", "test")
        assert flags.current().flags == {"v2_score": Flag(Mode.FAST)}
        transaction.set_rollback(True)
    assert flags.current().flags == {}


@pytest.mark.django_db
def test_a_look_that_fails_leaves_the_callers_transaction_usable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCORER_FAST = {"FLAGS_INLINE": True}
    monkeypatch.setattr(sql, "READ_FLAGS", "SELECT * FROM a_table_that_is_not_there")
    assert not flags.current().known
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_worker_looks_for_itself(settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 0.05}
    flags.set_mode("v2_score", "fast", None, "before the fork", "test")
    flags.current()
    wait_for(lambda: flags.current().known)
    connections.close_all()
    child = os.fork()
    if child == 0:
        os._exit(0 if flags.current().flags == {"v2_score": Flag(Mode.FAST)} else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.django_db(transaction=True)
def test_no_request_takes_the_fast_path_before_it_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading takes tenths of a second: the first requests of a process would bear it, and the guard count it."""
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 0.05}
    may_load, loads = threading.Event(), []

    def prepare() -> None:
        loads.append(threading.current_thread().name)
        may_load.wait(5)
        raise RuntimeError("and what fails there is for a request to find")

    monkeypatch.setattr(call, "prepare", prepare)
    flags.current()
    wait_for(lambda: flags.current().known)
    assert loads == []
    flags.set_mode("v2_score", "fast", None, "a test", "ann")
    wait_for(lambda: bool(loads))
    assert flags.current().flags == {}
    may_load.set()
    wait_for(lambda: flags.current().flags == {"v2_score": Flag(Mode.FAST)})
    assert set(loads) == {"scorer-fast-flags"}


def test_the_thread_starts_once_however_many_ask(settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 60}
    together = threading.Barrier(16)

    def ask() -> None:
        together.wait()
        flags.current()

    askers = [threading.Thread(target=ask) for _ in range(16)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert [thread.name for thread in threading.enumerate()].count("scorer-fast-flags") == 1


# ---- changes and their log


def log() -> list[tuple[str, str, str, str, str]]:
    return list(
        FlagLog.objects.order_by("id").values_list("operation_id", "from_value", "to_value", "changed_by", "reason")
    )


@pytest.mark.django_db
def test_every_change_is_logged_with_who_from_to_and_why() -> None:
    other = "0x" + "b2" * 20
    flags.set_mode("v2_score", "shadow", None, "compare first", "ann")
    flags.set_mode("v2_score", "split", Decimal("5"), "five percent", "ben", allow=[OWNER.upper().replace("X", "x")])
    flags.set_mode("v2_score", "split", "5.00", "no change, no line", "ben")
    flags.set_mode("v2_score", "fast", None, "all", "cat", allow=[], deny=[other])
    flags.kill("all", reason="smoke", by="dan")
    flags.kill("all", reason="again", by="dan")
    flags.release("all", reason="it was toast", by="dan")
    flags.latch("v2_score", rule="errors", value="0.4 %", limit="0.1 %", window="300 s", sample=5000)
    flags.latch("v2_score", rule="p95", value="1 s", limit="0.5 s", window="300 s", sample=5000)
    assert flags.lift("v2_score", reason="repaired", by="eve") == "errors"
    assert log() == [
        ("v2_score", "legacy", "shadow", "ann", "compare first"),
        ("v2_score", "shadow", f"split 5.00 %; allow {OWNER}", "ben", "five percent"),
        ("v2_score", f"split 5.00 %; allow {OWNER}", f"fast; deny {other}", "cat", "all"),
        ("all", "released", "killed", "dan", "smoke"),
        ("all", "killed", "released", "dan", "it was toast"),
        (
            "v2_score",
            f"fast; deny {other}",
            "latched to legacy by errors",
            "guard",
            "errors: 0.4 %, limit 0.1 %, window 300 s, sample 5000",
        ),
        ("v2_score", "latched to legacy by errors", f"fast; deny {other}", "eve", "repaired"),
    ]
    latch = Latch.objects.get()
    assert (latch.rule, latch.value, latch.limit, latch.window, latch.sample) == (
        "errors", "0.4 %", "0.1 %", "300 s", 5000,
    )  # fmt: skip
    assert (latch.lifted_by, latch.lift_reason) == ("eve", "repaired")
    assert latch.created_at < latch.lifted_at


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_no_change_without_a_reason(reason: str) -> None:
    flags.latch("v2_score", rule="errors", value=1, limit=0, window="1 s", sample=1)
    before = log()
    for change in (
        lambda: flags.set_mode("v2_score", "fast", None, reason, "ann"),
        lambda: flags.kill("all", reason=reason, by="ann"),
        lambda: flags.release("all", reason=reason, by="ann"),
        lambda: flags.lift("v2_score", reason=reason, by="ann"),
    ):
        with pytest.raises(flags.InvalidChange, match="reason"):
            change()
    assert log() == before
    assert not OperationFlag.objects.exists()
    assert not KillSwitch.objects.exists()
    assert Latch.objects.get().lifted_at is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("v3_score", "fast", None), "There is no operation 'v3_score'. Known: v2_score"),
        (
            ("v2_score", "quick", None),
            "There is no mode 'quick'. Choose one of: legacy, shadow, split, fast.",
        ),
        (("v2_score", "split", None), "Mode split needs a percentage"),
        (("v2_score", "split", "101"), "'101' is no percentage"),
        (("v2_score", "split", "-1"), "'-1' is no percentage"),
        (("v2_score", "split", "1.234"), "'1.234' is no percentage"),
        (("v2_score", "split", "NaN"), "'NaN' is no percentage"),
        (("v2_score", "split", "half"), "'half' is no percentage"),
    ],
)
def test_what_cannot_be_set_says_what_can(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(flags.InvalidChange, match=f"^{message}"):
        flags.set_mode(*arguments, "a reason", "ann")
    assert not FlagLog.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement", ["UPDATE scorer_fast_flaglog SET reason = 'x'", "DELETE FROM scorer_fast_flaglog"]
)
def test_the_database_refuses_to_rewrite_the_log(statement: str) -> None:
    flags.set_mode("v2_score", "fast", None, "a line", "ann")
    with (
        pytest.raises(DatabaseError, match="scorer_fast_flaglog is append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert len(log()) == 1


@pytest.mark.django_db
def test_the_database_refuses_what_is_no_flag() -> None:
    for bad in (
        "INSERT INTO scorer_fast_operationflag VALUES ('v2_score', 'quick', 0, '', '', now(), 'x')",
        "INSERT INTO scorer_fast_operationflag VALUES ('v2_score', 'split', 100.01, '', '', now(), 'x')",
        "INSERT INTO scorer_fast_flaglog (operation, changed_at, changed_by, from_value, to_value, reason)"
        " VALUES ('all', now(), 'x', 'a', 'b', ' ')",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(bad)


@pytest.mark.django_db
def test_names_of_groups_and_operations_never_meet() -> None:
    groups = {operation.group for operation in OPERATIONS}
    assert not groups & {*BY_ID, flags.ALL}
    assert flags.members("score") == ("v2_score", "internal_score")
    assert flags.members("all") == tuple(BY_ID)
    assert flags.members("nobody") == ()


@pytest.mark.django_db(transaction=True)
def test_two_changes_at_once_leave_a_true_log() -> None:
    together = threading.Barrier(4)

    def change(number: int) -> None:
        together.wait()
        flags.set_mode("v2_score", "split", number, "at once", f"thread {number}")
        connections.close_all()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = log()
    assert [line[1] for line in lines] == ["legacy", *(line[2] for line in lines[:-1])]
    assert len(lines) == 4


# ---- control


def test_a_small_share_of_each_days_addresses_stays_with_the_host(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CONTROL_PERCENT": 1.0}
    operation = BY_ID["v2_score"]
    fast = Snapshot(True, {"v2_score": Flag(Mode.FAST)})
    requests = [RequestFactory().get(f"/v2/stamps/1/score/0x{number:040x}") for number in range(4000)]

    def control(day: int) -> set[int]:
        monkeypatch.setattr(flags.time, "time", lambda: day * 86_400.0)
        routes = [flags.choose(operation, request, fast) for request in requests]
        assert set(routes) <= {Route.FAST, Route.LEGACY}
        return {number for number, route in enumerate(routes) if route is Route.LEGACY}

    one, other = control(20_000), control(20_001)
    assert 20 <= len(one) <= 64
    assert one == control(20_000)
    assert len(one & other) <= 4
    freeze_threads()
    try:
        assert control(20_000) == set()
    finally:
        freeze_threads(False)
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CONTROL_PERCENT": 0}
    assert control(20_000) == set()
