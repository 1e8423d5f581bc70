"""Contention shares one budget of attempts; what is no contention is not tried again."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, transaction
from pytest_django import Settings

from api.account.models import Community
from scorer_fast.db.connection import is_contention, is_unavailable, sqlstate
from scorer_fast.errors import Changed
from scorer_fast.scoring import service as scoring
from scorer_fast.scoring import write
from scorer_fast.scoring.write import NO_LONGER_SO
from tests.factories import rows
from tests.factories.requests import good
from tests.factories.rows import OWNER
from tests.guards.statements import sent
from tests.http.unchanged import nothing_written

pytestmark = pytest.mark.django_db
SCORING = ["v2_score", "internal_score", "embed_score", "embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"]


class OfTheDriver(Exception):
    """What psycopg 3 raises: it knows its code."""

    sqlstate: str | None = None


def of_the_server(kind: type[DatabaseError], code: str | None) -> DatabaseError:
    """A database error as Django raises it, with the driver's own as its cause."""
    error = kind("from the server")
    error.__cause__ = OfTheDriver("from the server")
    error.__cause__.sqlstate = code
    return error


DEADLOCK = of_the_server(OperationalError, "40P01")
SERIALIZATION = of_the_server(OperationalError, "40001")
UNIQUE = of_the_server(IntegrityError, "23505")
FOREIGN = of_the_server(IntegrityError, "23503")
GONE = of_the_server(OperationalError, None)
SHUTDOWN = of_the_server(OperationalError, "57P01")
CLOSED = of_the_server(InterfaceError, None)
CONTENTION = {"changed": Changed(), "deadlock": DEADLOCK, "serialization": SERIALIZATION, "unique": UNIQUE}
UNAVAILABLE = {"gone": GONE, "shut down": SHUTDOWN, "closed": CLOSED}


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception, int], list[int]]:
    """Make the next writes fail with an error, so many of them; the list grows with every attempt."""

    def make(error: Exception, times: int) -> list[int]:
        attempts: list[int] = []
        real = write.write

        def failing_write(run: Any, plan: Any, checked: Any) -> Any:
            attempts.append(len(attempts) + 1)
            if len(attempts) <= times:
                raise error
            return real(run, plan, checked)

        monkeypatch.setattr(scoring, "write_plan", failing_write)
        monkeypatch.setattr(scoring, "_pause", lambda attempt: None)
        return attempts

    return make


@pytest.fixture(autouse=True)
def stamps(one: Community) -> None:
    rows.stamps(OWNER, "Ens")


@pytest.mark.parametrize("kind", CONTENTION)
@pytest.mark.parametrize("times", [1, 4])
def test_contention_is_tried_again(kind: str, times: int, failing: Callable[..., list[int]]) -> None:
    attempts = failing(CONTENTION[kind], times)
    assert good("internal_score").send().json()["score"] == "12.50000"
    assert len(attempts) == times + 1


@pytest.mark.parametrize("operation", SCORING)
@pytest.mark.parametrize("kind", CONTENTION)
def test_after_five_attempts_it_is_busy(operation: str, kind: str, failing: Callable[..., list[int]]) -> None:
    attempts = failing(CONTENTION[kind], 100)
    with nothing_written():
        response = good(operation).send()
    assert len(attempts) == 5
    assert response.status_code == 503
    assert 1 <= int(response["Retry-After"]) <= 5
    assert response.json() == {"detail": "The address is being scored by other requests. Try again."}


def test_the_budget_is_a_setting(settings: Settings, failing: Callable[..., list[int]]) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "WRITE_ATTEMPTS": 2}
    attempts = failing(Changed(), 100)
    assert good("internal_score").send().status_code == 503
    assert len(attempts) == 2


def test_later_attempts_wait_in_the_queue_of_the_address(failing: Callable[..., list[int]]) -> None:
    good("internal_score").send()
    failing(Changed(), 1)
    with sent() as names:
        assert good("internal_score").send().status_code == 200
    at = names.index("QUEUE")
    assert "READ_SCORING" in names[:at]
    assert names[at : at + 2] == ["QUEUE", "READ_SCORING"]
    assert names.count("WRITE_SCORING") == 1


@pytest.mark.parametrize("kind", UNAVAILABLE)
def test_a_lost_database_is_a_503_at_once(kind: str, failing: Callable[..., list[int]]) -> None:
    attempts = failing(UNAVAILABLE[kind], 100)
    with nothing_written():
        response = good("internal_score").send()
    assert len(attempts) == 1
    assert response.status_code == 503
    assert 1 <= int(response["Retry-After"]) <= 5
    assert response.json() == {"detail": "The service is temporarily unavailable. Try again."}


@pytest.mark.parametrize("error", [FOREIGN, ZeroDivisionError("a bug")], ids=["foreign key", "a bug"])
def test_what_is_neither_is_raised_at_once(error: Exception, failing: Callable[..., list[int]]) -> None:
    attempts = failing(error, 100)
    with nothing_written(), pytest.raises(type(error)):
        good("internal_score").send()
    assert len(attempts) == 1


@pytest.mark.parametrize("error", [DEADLOCK, SERIALIZATION, UNIQUE, FOREIGN, GONE, SHUTDOWN, CLOSED])
def test_errors_by_their_codes(error: DatabaseError) -> None:
    assert is_contention(error) is (error in CONTENTION.values())
    assert is_unavailable(error) is isinstance(error, OperationalError | InterfaceError)


def test_the_code_is_found_whichever_driver_raised_it() -> None:
    class OfPsycopg2(Exception):
        pgcode = "40P01"

    error = OperationalError("x")
    error.__cause__ = OfPsycopg2()
    assert sqlstate(error) == "40P01"
    assert sqlstate(DEADLOCK) == "40P01"
    bare = OfTheDriver("x")
    bare.sqlstate = "23505"
    assert sqlstate(bare) == "23505"
    assert sqlstate(ZeroDivisionError()) is None


def test_the_code_is_found_in_what_this_driver_raises(one: Community) -> None:
    with pytest.raises(DatabaseError) as raised, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'SF001', MESSAGE = 'ours'; END $$")
    assert sqlstate(raised.value) == NO_LONGER_SO
