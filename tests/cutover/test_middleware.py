"""The one line in MIDDLEWARE, under WSGI and ASGI: nothing where it has nothing to do, never in the way."""

import asyncio
import cProfile
import json
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory
from pytest_django import Settings

from scorer_fast.cutover import flags
from scorer_fast.cutover.dispatch import HEADER
from scorer_fast.cutover.flags import Flag, Mode, Snapshot
from scorer_fast.cutover.middleware import ScorerFastMiddleware
from scorer_fast.http.catalogue import BY_ID, OPERATIONS

from .conftest import MIDDLEWARE, OWNER, SCORE

Put = Callable[[Callable[[HttpRequest], HttpResponse]], None]
Asked = tuple[str, str, bytes]
EXAMPLES = {
    "scorer_id": "1",
    "address": OWNER,
    "list": "MetaMaskOG2",
    "provider_id": "Custom",
    "round_id": "1",
}


def asked(operation_id: str) -> Asked:
    """Method, path and body of a request that is the operation's by its form."""
    operation = BY_ID[operation_id]
    body = b"" if operation.method == "GET" else b'[{"provider": "A"}]'
    return operation.method, operation.path.format(**EXAMPLES), body


ELSEWHERE: list[Asked] = [
    ("GET", "/", b""),
    ("HEAD", SCORE, b""),
    ("OPTIONS", SCORE, b""),
    ("POST", SCORE, b"{}"),
    ("PUT", "/ceramic-cache/stamps/bulk", b"[]"),
    ("GET", SCORE + "/", b""),
    ("GET", "/v2/stamps/1/score/", b""),
    ("GET", "/internal/something/else", b""),
]


def whole(response: Any) -> tuple[int, list[tuple[str, str]], list[str], bytes]:
    """All that goes over the wire."""
    return (
        response.status_code,
        sorted(response.headers.items()),
        [cookie.OutputString() for cookie in response.cookies.values()],
        response.content,
    )


def both_clients(asked: Asked, headers: dict[str, str] | None = None) -> list[Any]:
    method, path, body = asked
    options: dict[str, Any] = {"content_type": "application/json", "headers": headers}
    sync = Client(raise_request_exception=False).generic(method, path, body, **options)

    async def ask() -> Any:
        return await AsyncClient(raise_request_exception=False).generic(method, path, body, **options)

    return [sync, asyncio.run(ask())]


@pytest.fixture
def modes(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put flags in place without a database."""

    def put(**given: Flag) -> None:
        snapshot = Snapshot(True, given)
        monkeypatch.setattr(flags, "current", lambda: snapshot)

    installed.SCORER_FAST = {"BACKGROUND": True}
    return put


FAST = {operation.id: Flag(Mode.FAST) for operation in OPERATIONS}


@pytest.mark.parametrize("state", ["legacy", "unknown"])
@pytest.mark.parametrize("request_", [*map(asked, BY_ID), *ELSEWHERE], ids=str)
def test_while_legacy_the_host_answers_as_it_did_to_the_byte(
    request_: Asked, state: str, fast_path: Put, modes: Any, installed: Settings, monkeypatch: Any
) -> None:
    modes(**{operation.id: Flag(Mode.LEGACY) for operation in OPERATIONS})
    if state == "unknown":
        monkeypatch.setattr(flags, "current", lambda: flags.UNKNOWN)
    headers = {"X-Use-Rust-Scorer": "true", "X-Use-Fast-Scorer": "true"}
    with_us = [whole(response) for response in both_clients(request_, headers)]
    installed.MIDDLEWARE = []
    without = [whole(response) for response in both_clients(request_, headers)]
    assert with_us == without


@pytest.mark.parametrize("operation_id", BY_ID)
def test_every_operation_is_taken_over_and_says_so(operation_id: str, fast_path: Put, modes: Any) -> None:
    modes(**FAST)
    # One after the other in one thread: a test client's requests stay on the caller's connection.
    for response in both_clients(asked(operation_id)):
        assert (response.json(), response.headers[HEADER]) == ({"from": "fast"}, "fast")


@pytest.mark.parametrize("request_", ELSEWHERE, ids=str)
def test_what_is_no_operation_goes_to_the_host_whatever_the_flags(
    request_: Asked, fast_path: Put, modes: Any, installed: Settings
) -> None:
    modes(**FAST)
    with_us = [whole(response) for response in both_clients(request_)]
    installed.MIDDLEWARE = []
    assert with_us == [whole(response) for response in both_clients(request_)]


@pytest.mark.parametrize("mode", [Flag(Mode.SHADOW), Flag(Mode.SPLIT, 0)])
def test_the_hosts_answer_is_marked_where_the_operation_is_not_legacy(mode: Flag, modes: Any) -> None:
    modes(v2_score=mode)
    for response in both_clients(asked("v2_score")):
        assert (response.json()["from"], response.headers[HEADER]) == ("host", "legacy")


def test_a_failure_is_answered_by_the_host_under_both(fast_path: Put, modes: Any) -> None:
    def fail(request: HttpRequest) -> HttpResponse:
        assert request.body
        raise RuntimeError("a bug")

    modes(**FAST)
    fast_path(fail)
    for response in both_clients(("POST", "/internal/check-revocations", b'{"proof_values": []}')):
        assert (response.status_code, response.headers[HEADER]) == (200, "legacy")
        assert response.json()["body"] == '{"proof_values": []}'


# ---- where the line stands


def stamp(get_response: Callable[[HttpRequest], Any]) -> Any:
    """A middleware of the host's, sync and async: what CORS and request ids do."""
    if iscoroutinefunction(get_response):

        async def around(request: HttpRequest) -> HttpResponse:
            response = await get_response(request)
            response["X-Host-Middleware"] = "was here"
            return response

        return markcoroutinefunction(around)

    def around_sync(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Host-Middleware"] = "was here"
        return response

    return around_sync


stamp.sync_capable = stamp.async_capable = True  # type: ignore[attr-defined]


def refuse(get_response: Callable[[HttpRequest], Any]) -> Any:
    """A host's sync middleware that answers before any view."""

    def around(request: HttpRequest) -> HttpResponse:
        return HttpResponse("maintenance", status=418)

    return around


HERE = "tests.cutover.test_middleware"


def test_last_in_the_list_all_that_the_host_does_around_its_views_is_done(
    fast_path: Put, modes: Any, installed: Settings
) -> None:
    installed.MIDDLEWARE = [
        "django.middleware.security.SecurityMiddleware",
        f"{HERE}.stamp",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
        MIDDLEWARE,
    ]
    modes(**FAST)
    for response in both_clients(asked("check_bans")):
        assert response.json() == {"from": "fast"}
        assert response.headers["X-Host-Middleware"] == "was here"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    installed.MIDDLEWARE = [f"{HERE}.refuse", MIDDLEWARE]
    for response in both_clients(asked("check_bans")):
        assert (response.status_code, HEADER in response.headers) == (418, False)


def test_first_in_the_list_the_fast_path_skips_all_of_that(fast_path: Put, modes: Any, installed: Settings) -> None:
    installed.MIDDLEWARE = [MIDDLEWARE, f"{HERE}.stamp", f"{HERE}.refuse"]
    modes(v2_score=Flag(Mode.FAST))
    for response in both_clients(asked("v2_score")):
        assert (response.json(), "X-Host-Middleware" in response.headers) == ({"from": "fast"}, False)
    for response in both_clients(asked("embed_score")):
        assert response.status_code == 418


# ---- what it costs where it does nothing


def test_it_is_sync_beside_sync_and_async_beside_async() -> None:
    async def answer_async(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert not iscoroutinefunction(ScorerFastMiddleware(lambda request: HttpResponse()))
    assert iscoroutinefunction(ScorerFastMiddleware(answer_async))
    assert ScorerFastMiddleware.sync_capable
    assert ScorerFastMiddleware.async_capable


@pytest.mark.parametrize("path", ["/elsewhere", "/internal/elsewhere", SCORE])
def test_where_it_does_nothing_the_hosts_own_awaitable_is_passed_on(
    path: str, modes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread hop is possible where nothing of ours is awaited; a process's very first request looks at the flags."""
    monkeypatch.setattr(flags._watch, "has_looked", True)
    answers: list[Awaitable[HttpResponse]] = []

    async def inner() -> HttpResponse:
        return HttpResponse()

    def get_response(request: HttpRequest) -> Awaitable[HttpResponse]:
        answers.append(inner())
        return answers[-1]

    modes()
    middleware = ScorerFastMiddleware(markcoroutinefunction(get_response))
    assert middleware.is_async
    assert middleware(AsyncRequestFactory().get(path)) is answers[0]
    asyncio.run(answers[0])  # type: ignore[arg-type]


def test_a_plain_request_stays_on_its_thread_under_asgi(modes: Any) -> None:
    modes()
    threads = set()

    async def get_response(request: HttpRequest) -> HttpResponse:
        threads.add(threading.get_ident())
        return HttpResponse()

    async def ask() -> int:
        await ScorerFastMiddleware(get_response)(AsyncRequestFactory().get(SCORE))
        return threading.get_ident()

    assert {asyncio.run(ask())} == threads


@pytest.mark.parametrize("path", ["/elsewhere", "/internal/elsewhere", "/ceramic-cache/weights", SCORE])
def test_where_it_does_nothing_it_costs_some_microseconds(
    path: str, installed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.SCORER_FAST = {"BACKGROUND": True}
    # The real snapshot and the real thread: only what the thread reads is put in place.
    monkeypatch.setattr(flags._Watch, "look", lambda watch, alias, **_: None)
    flags._watch.snapshot = Snapshot(True, {"v2_score": Flag(Mode.LEGACY)})
    request = RequestFactory().get(path)
    answer = HttpResponse()
    middleware = ScorerFastMiddleware(lambda request: answer)
    middleware(request)
    with cProfile.Profile() as profile:
        for _ in range(100):
            middleware(request)
    calls = sum(entry.callcount for entry in profile.getstats()) / 100
    assert calls < 50  # the same on every machine; they take some five microseconds


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mode", ["legacy", "fast"])
def test_flags_cost_a_request_no_query(
    mode: str, fast_path: Put, installed: Settings, django_assert_num_queries: Any
) -> None:
    installed.SCORER_FAST = {"BACKGROUND": True, "FLAGS_REFRESH_SECONDS": 60}
    flags.set_mode("v2_score", mode, None, "a test", "test")
    flags.current()
    deadline = time.monotonic() + 5
    while not flags.current().known and time.monotonic() < deadline:
        time.sleep(0.01)
    with django_assert_num_queries(0):
        assert Client().get(SCORE).json()["from"] == ("host" if mode == "legacy" else "fast")


@async_to_sync
async def ask_async(path: str) -> Any:
    """Under ASGI, from inside the test's transaction."""
    return await AsyncClient().get(path)


@pytest.mark.django_db
def test_flags_can_be_looked_at_in_line_under_asgi_too(fast_path: Put, installed: Settings) -> None:
    installed.SCORER_FAST = {**installed.SCORER_FAST, "FLAGS_INLINE": True}
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    response = ask_async(SCORE)
    assert response.headers[HEADER] == "fast"
    assert HEADER not in ask_async("/ceramic-cache/weights").headers


@pytest.mark.django_db
def test_inside_a_callers_transaction_the_fast_path_sees_what_is_not_committed(
    fast_path: Put, installed: Settings
) -> None:
    def count(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM scorer_fast_operationflag")
            (rows,) = cursor.fetchone()
        return JsonResponse({"rows": rows, "transaction": connection.in_atomic_block})

    fast_path(count)
    installed.SCORER_FAST = {**installed.SCORER_FAST, "FLAGS_INLINE": True}
    flags.set_mode("v2_score", "fast", None, "never committed", "test")
    for response in (Client().get(SCORE), ask_async(SCORE)):
        assert json.loads(response.content) == {"rows": 1, "transaction": True}
