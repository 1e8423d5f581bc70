"""A service of its own under ASGI: what is begun at once, what waits, and what is told to come again."""

import asyncio
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory
from pytest_django import Settings

from scorer_fast import arrival, pool
from scorer_fast.http.bounded import bounded
from tests.factories.requests import good


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that pytest can call."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Service:
    """Middleware and views: operations end once they are ``let``, all else at once."""

    def __init__(self) -> None:
        self.begun = 0
        self.let = threading.Event()
        self.threads: set[str] = set()

    def get_response(self, request: HttpRequest) -> HttpResponse:
        self.begun += 1
        self.threads.add(threading.current_thread().name)
        self.let.wait(10)
        return HttpResponse("well")

    async def other(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("other")

    async def asked(self, *paths: str) -> list[asyncio.Task[HttpResponse]]:
        answer = bounded(self.other)

        async def ask(path: str) -> HttpResponse:
            async with ThreadSensitiveContext():  # as Django's handler does
                response: HttpResponse = await answer(AsyncRequestFactory().get(path))
                return response

        tasks = [asyncio.create_task(ask(path)) for path in paths]
        await asyncio.sleep(0.1)  # each gets as far as it does
        return tasks


V2_SCORE, GTC_STAKE = good("v2_score").path, good("gtc_stake").path


@pytest.fixture
def service(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    settings.SCORER_FAST = {"ASGI_THREADS": 2, "ASGI_QUEUE": 4, "SHED_AFTER_SECONDS": 1, "BACKGROUND": False}
    made = Service()
    monkeypatch.setattr(BaseHandler, "load_middleware", lambda handler: None)
    monkeypatch.setattr(BaseHandler, "get_response", lambda handler, request: made.get_response(request))
    pool.reset()
    yield made
    made.let.set()
    pool.reset()


def statuses(answers: list[HttpResponse]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@in_a_loop
async def test_two_are_begun_some_wait_and_the_others_come_again(service: Service) -> None:
    scorings = await service.asked(*[V2_SCORE] * 10)
    look_ups = await service.asked(*[GTC_STAKE] * 3)
    assert service.begun == 2
    assert [task.done() for task in scorings] == [False] * 5 + [True] * 5, "two are begun and three wait"
    assert [task.done() for task in look_ups] == [False, True, True], "a place of the queue is theirs alone"
    service.let.set()
    answers = await asyncio.gather(*scorings, *look_ups)
    assert statuses(answers) == {200: 6, 503: 7}
    assert all(answer.status_code == 200 or 1 <= int(answer["Retry-After"]) <= 5 for answer in answers)
    assert service.begun == 6
    assert service.threads == {"scorer-fast-asgi"}
    (again,) = await service.asked(V2_SCORE)
    assert (await again).status_code == 200, "every place is free again"


@in_a_loop
async def test_who_is_too_old_when_its_turn_comes_is_not_begun(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = await service.asked(*[V2_SCORE] * 4)
    now = time.monotonic()
    monkeypatch.setattr(arrival, "time", _Clock(now + 1.5))
    service.let.set()
    assert statuses(await asyncio.gather(*tasks)) == {200: 2, 503: 2}
    assert service.begun == 2


class _Clock:
    def __init__(self, now: float) -> None:
        self.monotonic, self.time = lambda: now, time.time


@in_a_loop
async def test_who_goes_away_leaves_its_place_once_its_thread_is_done(service: Service) -> None:
    """A thread cannot be stopped: were its place given away at once, clients that go away would begin any number."""
    for _ in range(5):
        tasks = await service.asked(*[V2_SCORE] * 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert service.begun == 2
    service.let.set()
    await asyncio.sleep(0.1)
    assert statuses(await asyncio.gather(*await service.asked(V2_SCORE, V2_SCORE))) == {200: 2}


@in_a_loop
async def test_a_view_that_fails_leaves_its_place(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    monkeypatch.setattr(service, "get_response", fail)
    for _ in range(10):
        (task,) = await service.asked(V2_SCORE)
        with pytest.raises(RuntimeError):
            await task


@in_a_loop
async def test_what_is_no_operation_never_waits(service: Service) -> None:
    await service.asked(*[V2_SCORE] * 10)
    (other,) = await service.asked("/admin/")
    assert (await other).content == b"other"
    service.let.set()


def test_it_does_nothing_under_wsgi() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert bounded(view) is view


@pytest.mark.django_db(transaction=True)
def test_it_has_as_many_connections_as_threads(one: Any, settings: Settings) -> None:
    """Django's way leaves one per request, until the garbage collector comes by."""
    from django.core.asgi import get_asgi_application

    settings.SCORER_FAST = {"ASGI_THREADS": 2, "BACKGROUND": False, "SHED_AFTER_SECONDS": 0}
    pool.reset()
    application: Any = get_asgi_application()
    request = good("gtc_stake")
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
    scope = {
        "type": "http", "method": "GET", "path": request.path, "query_string": b"", "headers": headers,
        "http_version": "1.1", "scheme": "http",
    }  # fmt: skip

    async def ask() -> tuple[int, dict[str, str]]:
        came, sent = [{"type": "http.request", "body": b""}], []

        async def receive() -> dict[str, Any]:
            if came:
                return came.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await application(scope, receive, send)
        return sent[0]["status"], {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}

    async def many() -> list[tuple[int, dict[str, str]]]:
        return await asyncio.gather(*(ask() for _ in range(40)))

    answers = asyncio.run(many())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        sessions = cursor.fetchone()[0]
    pool.reset()
    assert Counter(status for status, _ in answers) == {200: 40}
    assert answers[0][1]["x-frame-options"] == "DENY", "all middleware has seen it"
    assert sessions <= 2 + 1
