"""A service of its own under ASGI: what is begun at once, what waits, and what is told to come again."""

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory
from pytest_django import Settings

from scorer_fast import arrival
from scorer_fast.http.bounded import bounded
from tests.factories.requests import good


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that pytest can call."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Service:
    """Behind the middleware: it answers once it is ``let``."""

    def __init__(self) -> None:
        self.begun = 0
        self.let = asyncio.Event()
        self.answer = bounded(self.view)

    async def view(self, request: HttpRequest) -> HttpResponse:
        self.begun += 1
        await self.let.wait()
        return HttpResponse("well")

    async def asked(self, operation: str, times: int) -> list[asyncio.Task[HttpResponse]]:
        path = good(operation).path
        tasks = [asyncio.create_task(self.answer(AsyncRequestFactory().get(path))) for _ in range(times)]
        await asyncio.sleep(0)  # each gets as far as it does
        return tasks


@pytest.fixture(autouse=True)
def bounds(settings: Settings) -> None:
    settings.SCORER_FAST = {"ASGI_THREADS": 2, "ASGI_QUEUE": 4, "SHED_AFTER_SECONDS": 1, "BACKGROUND": False}


def statuses(answers: list[HttpResponse]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


@in_a_loop
async def test_two_are_begun_some_wait_and_the_others_come_again() -> None:
    service = Service()
    scorings = await service.asked("v2_score", 10)
    look_ups = await service.asked("gtc_stake", 3)
    assert service.begun == 2
    assert [task.done() for task in scorings] == [False] * 5 + [True] * 5, "two are begun and three wait"
    assert [task.done() for task in look_ups] == [False, True, True], "a place of the queue is theirs alone"
    service.let.set()
    answers = await asyncio.gather(*scorings, *look_ups)
    assert statuses(answers) == {200: 6, 503: 7}
    assert all(answer.status_code == 200 or 1 <= int(answer["Retry-After"]) <= 5 for answer in answers)
    assert service.begun == 6
    (again,) = await service.asked("v2_score", 1)
    assert (await again).status_code == 200, "every place is free again"


@in_a_loop
async def test_who_is_too_old_when_its_turn_comes_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()
    tasks = await service.asked("v2_score", 4)
    now = time.monotonic()
    monkeypatch.setattr(arrival, "time", _Clock(now + 1.5))
    service.let.set()
    assert statuses(await asyncio.gather(*tasks)) == {200: 2, 503: 2}
    assert service.begun == 2


class _Clock:
    def __init__(self, now: float) -> None:
        self.monotonic, self.time = lambda: now, time.time


@in_a_loop
async def test_who_goes_away_leaves_its_place() -> None:
    service = Service()
    tasks = await service.asked("v2_score", 5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    service.let.set()
    assert statuses(await asyncio.gather(*await service.asked("v2_score", 2))) == {200: 2}


@in_a_loop
async def test_a_view_that_fails_leaves_its_place() -> None:
    async def fail(request: HttpRequest) -> HttpResponse:
        raise RuntimeError

    answer = bounded(fail)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await answer(AsyncRequestFactory().get(good("v2_score").path))


@in_a_loop
async def test_what_is_no_operation_never_waits() -> None:
    service = Service()
    await service.asked("v2_score", 10)
    begun = service.begun
    other: Any = asyncio.create_task(service.answer(AsyncRequestFactory().get("/admin/")))
    await asyncio.sleep(0)
    assert service.begun == begun + 1
    service.let.set()
    assert (await other).status_code == 200


def test_it_does_nothing_under_wsgi() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert bounded(view) is view
