"""A server that is there and says nothing: the wait ends with the request's time, whoever asked."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.test import Client
from pytest_django import Settings

from api.account.models import Community
from scorer_fast.cutover import flags
from scorer_fast.db import watchdog
from scorer_fast.db.connection import fetch_value
from tests.factories.requests import good

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def silent() -> Iterator[Any]:
    """The process of this thread's session is stopped: its socket stands, and nothing comes over it."""
    pid = fetch_value("default", "SELECT pg_backend_pid()", {})
    os.kill(pid, signal.SIGSTOP)
    try:
        yield connections["default"]
    finally:
        os.kill(pid, signal.SIGCONT)
        connections["default"].close()


def test_a_request_ends_with_its_time(one: Community, settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "REQUEST_DEADLINE_SECONDS": 0.5}
    request = good("internal_score")
    assert request.send().status_code == 200
    with silent():
        started = time.monotonic()
        response = request.send(Client(raise_request_exception=False))
        took = time.monotonic() - started
    assert (response.status_code, bool(response["Retry-After"])) == (503, True)
    assert 0.5 < took < 2
    assert request.send().status_code == 200


def test_a_wait_for_a_commit_ends_too() -> None:
    """What PostgreSQL's own time-outs leave alone: as where a standby that has to confirm is away."""
    wrapper: Any = connections["default"]
    with silent(), watchdog.until(time.monotonic(), "default"), pytest.raises(wrapper.Database.OperationalError):
        wrapper.connection.cursor().execute("COMMIT")


def test_what_was_cut_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper: Any = connections["default"]
    with silent(), watchdog.until(time.monotonic(), "default"):
        monkeypatch.setattr(wrapper, "health_check_enabled", True)
        monkeypatch.setattr(wrapper, "health_check_done", False)
        with pytest.raises(OperationalError):
            fetch_value("default", "SELECT 1", {}, repeatable=True)
        assert watchdog.has_cut()
        for _ in range(2):
            assert wrapper.connection is None, "nor is a new one asked for, which would take its own time"
            with pytest.raises(OperationalError, match="the time is over"):
                fetch_value("default", "SELECT 1", {})


def test_a_look_at_the_flags_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "LOOK_SECONDS", 0.1)
    watch = flags._Watch()
    watch.look("default")
    assert not watch.away
    with silent():
        started = time.monotonic()
        watch.look("default")
        assert time.monotonic() - started < 2
    assert watch.away


def test_what_ends_in_time_is_left_alone() -> None:
    pid = fetch_value("default", "SELECT pg_backend_pid()", {})
    with watchdog.until(time.monotonic() + 60, "default"):
        assert fetch_value("default", "SELECT 1", {}) == 1
    time.sleep(watchdog.TICK_SECONDS * 2)
    assert fetch_value("default", "SELECT pg_backend_pid()", {}) == pid
    assert watchdog._waits == {}
    assert sum(thread.name == watchdog.NAME for thread in threading.enumerate()) == 1
