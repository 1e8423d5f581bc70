"""Work that is done while PostgreSQL is at a statement."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection, connections
from django.db.backends.postgresql.psycopg_any import is_psycopg3

from scorer_fast.db.connection import Meanwhile, fetch_one, fetch_value

pytestmark = pytest.mark.django_db(transaction=True)
KEY = 20_261_124  # of an advisory lock that nothing else takes


class Calls:
    """Work that counts how often it was done."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


@pytest.fixture
def locked() -> Iterator[threading.Event]:
    """The lock of KEY is held until the event is set."""
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.closing(connections["default"]), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [KEY])
            held.set()
            release.wait(30)
            cursor.execute("SELECT pg_advisory_unlock(%s)", [KEY])

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    yield release
    release.set()
    thread.join()


@pytest.mark.skipif(not is_psycopg3, reason="psycopg2 hands nobody the time that it waits")
def test_the_statement_is_under_way_when_the_work_is_done(locked: threading.Event) -> None:
    """It waits for what only the work lets go."""
    work = Meanwhile(locked.set)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '20s'")
    try:
        found = fetch_value("default", "SELECT 7 FROM pg_advisory_lock_shared(%(key)s)", {"key": KEY}, work)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout; SELECT pg_advisory_unlock_all()")
    assert found == 7


def test_it_is_done_once_whoever_asks() -> None:
    calls = Calls()
    work = Meanwhile(calls)
    assert fetch_one("default", "SELECT 1, 2", {}, work) == (1, 2)
    assert fetch_value("default", "SELECT 3", {}, work) == 3
    assert [work.result(), work.result()] == [1, 1]
    assert calls.count == 1


def test_it_is_done_when_asked_for_at_the_latest() -> None:
    assert Meanwhile(Calls()).result() == 1


def test_that_it_failed_is_not_told_by_the_statement() -> None:
    def fail() -> None:
        raise LookupError("of the work")

    work = Meanwhile(fail)
    assert fetch_value("default", "SELECT 1", {}, work) == 1
    for _ in range(2):
        with pytest.raises(LookupError, match="of the work"):
            work.result()


def test_that_the_statement_failed_is_not_told_by_the_work() -> None:
    work = Meanwhile(Calls())
    with pytest.raises(DatabaseError, match="division by zero"):
        fetch_value("default", "SELECT 1 / 0", {}, work)
    assert work.result() == 1
    assert fetch_value("default", "SELECT 1", {}) == 1, "the connection is as it was"


def test_the_next_statement_waits_as_ever() -> None:
    calls = Calls()
    fetch_value("default", "SELECT 1", {}, Meanwhile(calls))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 2")
        assert cursor.fetchone() == (2,)
    assert calls.count == 1
    if is_psycopg3:
        assert "wait" not in vars(connection.connection)


def test_a_long_text_and_a_long_answer_come_through() -> None:
    """More than the socket takes at once, in both directions."""
    text = "é" * 3_000_000
    assert fetch_value("default", "SELECT %(text)s::text || 'x'", {"text": text}, Meanwhile(Calls())) == text + "x"
