"""Flags, circuits and threads are a process's own: no test leaves any to the next."""

from collections.abc import Callable, Iterator

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from pytest_django import Settings

from scorer_fast import pool
from scorer_fast.cutover import circuit, figures, flags
from scorer_fast.cutover.shadow import run as shadow
from scorer_fast.http import call

MIDDLEWARE = "scorer_fast.cutover.middleware.ScorerFastMiddleware"
OWNER = "0x" + "a1" * 20
SCORE = f"/v2/stamps/1/score/{OWNER}"


@pytest.fixture(autouse=True)
def fresh_process(_django_db_marker: None) -> Iterator[None]:
    """After the database fixtures, so that all threads have ended before the tables are emptied."""
    forget()
    yield
    forget()


def forget() -> None:
    for module in (flags, circuit, pool, shadow, figures):
        module.reset()


@pytest.fixture
def installed(settings: Settings) -> Settings:
    """A small host with the one line in MIDDLEWARE."""
    settings.ROOT_URLCONF = "tests.cutover.small_host"
    settings.MIDDLEWARE = [MIDDLEWARE]
    return settings


@pytest.fixture
def fast_path(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[HttpRequest], HttpResponse]], None]:
    """Put a function in the place of all operations."""

    def put(answer: Callable[[HttpRequest], HttpResponse]) -> None:
        monkeypatch.setattr(call, "call", answer)

    put(lambda request: JsonResponse({"from": "fast"}))
    return put
