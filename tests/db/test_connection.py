"""Django's own connection as statements find it: looked at before use, its cursor kept, its times as text."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import DataError, OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from api.account.models import Community
from api.registry.models import Event
from scorer_fast.db.connection import fetch_all, fetch_one, fetch_value, instant, run
from tests.factories.requests import good

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "SELECT pg_backend_pid()"


@pytest.fixture(autouse=True)
def connection() -> Any:
    """This thread's connection itself, open, not Django's proxy of it."""
    wrapper = connections["default"]
    wrapper.ensure_connection()
    return wrapper


def backend() -> int:
    """The server's process behind this thread's connection, asked without this app."""
    with connections["default"].cursor() as cursor:
        cursor.execute(BACKEND)
        return int(cursor.fetchone()[0])


def kill(pid: int) -> None:
    """End a process of the server, from another connection."""

    def end() -> None:
        with contextlib.closing(connections["default"]), connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone() == (True,)

    thread = threading.Thread(target=end)
    thread.start()
    thread.join()


@pytest.fixture
def died(connection: Any) -> Iterator[int]:
    """The connection of the request before has died, and the host has health checks; the process it was of."""
    pid = backend()
    connection.health_check_enabled, connection.health_check_done = True, False
    kill(pid)
    yield pid
    connection.close()
    connection.health_check_enabled = False


# ---- a connection that died between two requests


@pytest.mark.parametrize("fetch", [fetch_one, fetch_all, fetch_value])
def test_a_first_read_finds_a_dead_connection_and_is_asked_again_on_a_new_one(died: int, fetch: Any) -> None:
    found = fetch("default", BACKEND, {}, repeatable=True)
    (pid,) = {fetch_one: lambda: found, fetch_all: lambda: found[0], fetch_value: lambda: (found,)}[fetch]()
    assert pid == backend()
    assert pid != died


@pytest.mark.parametrize("operation", ["v2_score", "cache_add_stamps", "check_bans", "embed_weights"])
def test_a_request_is_answered_over_a_dead_connection(operation: str, one: Community, died: int) -> None:
    answer = good(operation).send()
    assert answer.status_code in (200, 201)
    assert backend() != died
    assert Event.objects.filter(action="SCU").count() == (operation in {"v2_score", "cache_add_stamps"})


def test_a_first_write_is_preceded_by_djangos_own_look(died: int) -> None:
    assert fetch_value("default", BACKEND, {}) != died


def test_what_is_repeatable_needs_no_look_of_its_own(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One statement where Django would send two, and Django's look is not made up for later in the request."""
    monkeypatch.setattr(connection, "health_check_enabled", True)
    looks: list[str] = []
    monkeypatch.setattr(connection, "is_usable", lambda: looks.append("look") or True)
    fetch_value("default", "SELECT 1", {})  # there is a connection
    for repeatable, expected in ((True, []), (False, ["look"])):
        monkeypatch.setattr(connection, "health_check_done", False)
        looks.clear()
        assert fetch_value("default", "SELECT 1", {}, repeatable=repeatable) == 1
        run("default", "SELECT 1", {})
        assert looks == expected


def test_a_connection_that_dies_within_a_request_is_an_error(died: int) -> None:
    fetch_value("default", "SELECT 1", {}, repeatable=True)
    kill(backend())
    with pytest.raises(OperationalError):
        fetch_value("default", "SELECT 1", {}, repeatable=True)


def test_a_transaction_is_never_taken_up_on_another_connection(connection: Any, died: int) -> None:
    connection.close()

    def within() -> None:
        with transaction.atomic():
            kill(backend())
            connection.health_check_done = False
            fetch_value("default", "SELECT 1", {}, repeatable=True)

    with pytest.raises(OperationalError):
        within()


def test_without_health_checks_nothing_is_repeated(connection: Any) -> None:
    kill(backend())
    with pytest.raises(OperationalError):
        fetch_value("default", "SELECT 1", {}, repeatable=True)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "error"),
    [("SELECT 1 / 0", DataError), ("SELECT pg_sleep(5)", OperationalError)],
)
def test_a_read_that_fails_by_itself_is_not_repeated(
    connection: Any, monkeypatch: pytest.MonkeyPatch, statement: str, error: type[Exception]
) -> None:
    pid = backend()
    run("default", "SET statement_timeout = 50", {})
    monkeypatch.setattr(connection, "health_check_enabled", True)
    monkeypatch.setattr(connection, "health_check_done", False)
    with pytest.raises(error):
        fetch_value("default", statement, {}, repeatable=True)
    run("default", "RESET statement_timeout", {})
    assert backend() == pid


# ---- the cursor


def test_one_cursor_serves_all_statements_of_a_connection(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_value("default", "SELECT 1", {})
    made: list[Any] = []
    create = connection.create_cursor

    def creating(name: str | None = None) -> Any:
        made.append(create(name))
        return made[-1]

    monkeypatch.setattr(connection, "create_cursor", creating)
    assert fetch_value("default", "SELECT %(n)s::int", {"n": 2}) == 2
    assert fetch_all("default", "SELECT generate_series(1, 3)", {}) == [(1,), (2,), (3,)]
    with pytest.raises(DataError):
        fetch_value("default", "SELECT 1 / 0", {})
    assert fetch_value("default", "SELECT 3", {}) == 3
    assert made == []
    connection.close()
    assert fetch_value("default", "SELECT 4", {}) == 4
    assert len(made) == 1


def test_threads_have_cursors_of_their_own() -> None:
    found: list[int] = []

    def ask() -> None:
        with contextlib.closing(connections["default"]):
            found.append(fetch_value("default", BACKEND, {}))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({*found, fetch_value("default", BACKEND, {})}) == 3


def test_who_watches_queries_sees_them(connection: Any) -> None:
    fetch_value("default", "SELECT 1", {})
    with CaptureQueriesContext(connection) as captured:
        fetch_value("default", "SELECT 2", {})
    assert [query["sql"] for query in captured] == ["SELECT 2"]
    with connection.execute_wrapper(refuse), pytest.raises(ZeroDivisionError):
        fetch_value("default", "SELECT 3", {})


def refuse(execute: Any, sql: str, *more: Any) -> Any:
    raise ZeroDivisionError


def test_who_replaced_the_connections_cursor_sees_every_one(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As debug toolbars do."""
    fetch_value("default", "SELECT 1", {})
    seen: list[str] = []
    original = connection.cursor
    monkeypatch.setattr(connection, "cursor", lambda: seen.append("cursor") or original())
    fetch_value("default", "SELECT 2", {})
    assert seen == ["cursor"]


def test_another_time_zone_is_seen(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_value("default", "SELECT now()", {})
    tokyo = ZoneInfo("Asia/Tokyo")
    monkeypatch.setitem(vars(connection), "timezone", tokyo)
    assert fetch_value("default", "SELECT now()", {}).tzinfo is tokyo


# ---- times

FIRST, LAST = datetime(1000, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 - hypothesis wants them naive


@given(
    st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Asia/Kolkata", "America/St_Johns"]),
)
def test_an_instant_survives_its_text(expected: datetime, zone: str) -> None:
    run("default", f"SET TIME ZONE '{zone}'", {})
    try:
        text = fetch_value("default", "SELECT %(at)s::timestamptz::text", {"at": expected})
    finally:
        run("default", "SET TIME ZONE 'UTC'", {})
    assert instant(text) == expected


def test_no_instant_is_none() -> None:
    assert instant(None) is None
