"""What a host's own test suite does to its tests: roll back, flush, stop the clock, stand in for didkit.

None of it may leave the fast path with what an earlier test had written, or keep the database from being dropped.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from api.demo_issuer import Claim
from scorer_fast import pool
from scorer_fast.cutover import flag_queries as sql
from scorer_fast.cutover import flags
from scorer_fast.lookups import weights
from tests.host import world

OWNER = world.address(1)
URL = f"/v2/stamps/1/score/{OWNER}"


@pytest.fixture(autouse=True)
def everything_fast(settings: Settings) -> Iterator[None]:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": "fast"}}
    weights.forget()
    yield
    weights.forget()
    pool.reset()
    flags.reset()


def ask(path: str = URL, side: str = "fast") -> Any:
    response = Client().get(path, headers={"X-API-Key": world.API_KEY})
    assert (response.status_code, response.headers["X-Scorer-Path"]) == (200, side)
    return response.json()


def stamped(weight: str = "10") -> None:
    world.make_community(world.make_account(), 1, {"Google": weight})
    world.give([Claim(OWNER, "Google")])


@pytest.mark.django_db
def test_weights_of_a_test_that_is_rolled_back_are_not_remembered() -> None:
    for weight in ("10", "20"):
        with transaction.atomic():
            stamped(weight)
            assert ask("/ceramic-cache/weights") == {"Google": float(weight)}
            transaction.set_rollback(True)


@pytest.mark.django_db(transaction=True)
def test_weights_of_a_test_that_is_flushed_are_forgotten() -> None:
    for weight in ("10", "20"):
        stamped(weight)
        assert ask("/ceramic-cache/weights") == {"Google": float(weight)}
        world.BinaryWeightedScorer.objects.update(weights={"Google": "1"})
        assert ask("/ceramic-cache/weights") == {"Google": float(weight)}, "a minute old, as the host's may be"
        call_command("flush", interactive=False, verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_left_in_the_way_once_the_tables_are_flushed() -> None:
    """A database that somebody is connected to cannot be dropped."""

    async def elsewhere() -> int:
        async with ThreadSensitiveContext():
            return await pool.run(backend)

    theirs = async_to_sync(elsewhere)()
    assert theirs != backend()
    assert theirs in backends()
    call_command("flush", interactive=False, verbosity=0)
    assert theirs not in backends()
    assert async_to_sync(elsewhere)() != theirs


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def backends() -> set[int]:
    with connection.cursor() as cursor:
        # Another's end is seen a moment later.
        cursor.execute("SELECT pg_sleep(0.2)")
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return {pid for (pid,) in cursor.fetchall()}


@pytest.mark.django_db
def test_djangos_clock_is_the_fast_paths() -> None:
    stamped()
    assert ask()["score"] == "10.00000"
    later = timezone.now() + timedelta(days=3650)
    with mock.patch("django.utils.timezone.now", return_value=later):
        answer = ask()
    assert (answer["score"], answer["last_score_timestamp"]) == ("0.00000", later.isoformat())
    assert ask()["score"] == "10.00000"


@pytest.mark.django_db(transaction=True)
def test_a_clock_that_was_moved_and_put_back_does_not_stop_the_flags(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False}
    flags.reset()
    with monkeypatch.context() as moved:
        moved.setattr("time.monotonic", lambda: 4e9)
        assert flags.current().flags == {}
    # As another process would: nothing in this one says that there is something to look for.
    now = datetime.now(UTC)
    sql.upsert_flag("default", sql.FlagRow("v2_score", "fast", 0, "", "", now, "ann"))  # type: ignore[arg-type]
    assert set(flags.current().flags) == {"v2_score"}


@pytest.mark.django_db
def test_who_stands_in_for_didkit_is_asked() -> None:
    stamped()

    async def refuses(*_: str) -> str:
        return json.dumps({"errors": ["a test says so"]})

    with mock.patch("didkit.verify_credential", side_effect=refuses) as asked:
        assert ask()["score"] == "0.00000"
    assert asked.call_count == 1
    assert ask()["score"] == "10.00000"
