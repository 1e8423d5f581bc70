"""Threads under ASGI: few, long-lived, bounded, and never beside a caller's transaction."""

import asyncio
import contextvars
import io
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse, JsonResponse
from pytest_django import Settings

from scorer_fast import pool
from scorer_fast.cutover import flags
from scorer_fast.cutover.dispatch import HEADER
from scorer_fast.cutover.flags import Flag, Mode, Snapshot
from scorer_fast.http.catalogue import OPERATIONS

from .conftest import OWNER

Put = Callable[[Callable[[HttpRequest], HttpResponse]], None]
PATH = f"/internal/stake/gtc/{OWNER}"
TOKEN = "test-internal-token"
AT_ONCE = 8

# A test's own transaction stays on its thread; what is counted happens on others.
pytestmark = pytest.mark.django_db


@pytest.fixture
def connects() -> Iterator[Counter[str]]:
    """Database connections opened, by thread name without its number."""
    found: Counter[str] = Counter()

    def count(**_: Any) -> None:
        found[threading.current_thread().name.rsplit("_", 1)[0]] += 1

    connection_created.connect(count)
    yield found
    connection_created.disconnect(count)


@pytest.fixture
def fast(installed: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Every operation fast, and by its real code: a look-up that needs the database."""
    installed.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 60}
    snapshot = Snapshot(True, {operation.id: Flag(Mode.FAST) for operation in OPERATIONS})
    monkeypatch.setattr(flags, "current", lambda: snapshot)
    return installed


def conn_max_age(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", seconds)


# ---- a thousand requests


async def over_asgi(application: Any, path: str = PATH) -> dict[str, Any]:
    """One request as a server sends it: the answer's start and its body."""
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"authorization", TOKEN.encode())],
    }  # fmt: skip
    client = ApplicationCommunicator(application, scope)
    await client.send_input({"type": "http.request", "body": b""})
    start = await client.receive_output(10)
    body = await client.receive_output(10)
    await client.wait(10)
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return {"status": start["status"], "side": headers.get(HEADER), "body": body["body"]}


def thousand_over_asgi(requests: int = 1000) -> Counter[Any]:
    application = get_asgi_application()

    async def many() -> Counter[Any]:
        answers: Counter[Any] = Counter()

        async def one_after_the_other() -> None:
            for _ in range(requests // AT_ONCE):
                answer = await over_asgi(application)
                answers[answer["status"], answer["side"]] += 1

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
        return answers

    return asyncio.run(many())


def thousand_over_wsgi(requests: int = 1000) -> Counter[Any]:
    """As gunicorn's gthread does it: requests of few, long-lived threads."""
    application = get_wsgi_application()

    def one(_: int) -> Any:
        started: list[Any] = []
        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": PATH, "SERVER_NAME": "testserver", "SERVER_PORT": "80",
            "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http", "HTTP_AUTHORIZATION": TOKEN,
        }  # fmt: skip
        response = application(environ, lambda status, headers: started.extend((status, dict(headers))))
        b"".join(response)
        response.close()
        return int(started[0].split()[0]), started[1].get(HEADER)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="wsgi") as threads:
        answers = Counter(threads.map(one, range(requests)))
        together = threading.Barrier(AT_ONCE)
        list(threads.map(lambda _: (together.wait(), connections.close_all()), range(AT_ONCE)))
    return answers


@pytest.mark.parametrize("age", [0, 60])
def test_a_thousand_requests_under_asgi_need_a_connection_per_thread(
    age: int, fast: Settings, connects: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_max_age(monkeypatch, age)
    fast.SCORER_FAST = {**fast.SCORER_FAST, "ASGI_THREADS": 4}
    assert thousand_over_asgi() == {(200, "fast"): 1000}
    assert 1 <= connects["scorer-fast-asgi"] <= 4, connects
    assert sum(connects.values()) == connects["scorer-fast-asgi"], connects


def test_beside_it_the_hosts_own_view_needs_one_each(
    fast: Settings, connects: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the pool is for: Django gives every ASGI request a thread and a connection of its own."""
    conn_max_age(monkeypatch, 0)
    snapshot = Snapshot(True, {})
    monkeypatch.setattr(flags, "current", lambda: snapshot)
    assert thousand_over_asgi(80) == {(200, None): 80}
    assert sum(connects.values()) == 80, connects


def test_a_thousand_requests_under_wsgi_need_a_connection_per_thread(
    fast: Settings, connects: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_max_age(monkeypatch, 60)
    assert thousand_over_wsgi() == {(200, "fast"): 1000}
    assert connects == {"wsgi": AT_ONCE}


def test_under_wsgi_the_hosts_conn_max_age_is_left_as_it_is(
    fast: Settings, connects: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_max_age(monkeypatch, 0)
    assert thousand_over_wsgi(80) == {(200, "fast"): 80}
    assert connects == {"wsgi": 80}


# ---- how long a connection lives


async def backends(count: int) -> list[int]:
    """The database's processes behind so many calls, one after the other."""
    return [await asyncio.wrap_future(pool._pool().submit(pool._job, backend, ())) for _ in range(count)]


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("host_age", "own_age", "kept"),
    [(0, 60, True), (0, None, True), (0, 0, False), (60, 0, True), (None, 0, True)],
)
def test_a_connection_lives_as_the_host_says_or_where_it_says_nothing_as_we_do(
    host_age: Any, own_age: Any, kept: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_max_age(monkeypatch, host_age)
    settings.SCORER_FAST = {"ASGI_CONN_MAX_AGE": own_age}
    assert (len(set(asyncio.run(backends(3)))) == 1) is kept


def test_an_old_connection_is_replaced(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    conn_max_age(monkeypatch, 0)
    settings.SCORER_FAST = {"ASGI_CONN_MAX_AGE": 0.05}
    (first,) = asyncio.run(backends(1))
    time.sleep(0.06)
    assert asyncio.run(backends(1)) != [first]


def test_a_connection_the_server_closed_is_noticed_before_it_is_used(settings: Settings) -> None:
    settings.SCORER_FAST = {"ASGI_THREADS": 1}
    (first,) = asyncio.run(backends(1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        assert cursor.fetchone() == (True,)
    (second,) = asyncio.run(backends(1))
    assert second != first


def test_with_a_pool_of_the_drivers_own_conn_max_age_stays_zero(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = connections.create_connection("default")
    wrapper.settings_dict = {**wrapper.settings_dict, "CONN_MAX_AGE": 0, "OPTIONS": {"pool": True}}
    pool._keep(wrapper)
    assert wrapper.settings_dict["CONN_MAX_AGE"] == 0


# ---- the bounds


def test_beyond_threads_and_queue_nothing_waits() -> None:
    small = pool.Pool(threads=2, queue=3)
    let_go = threading.Event()
    calls = [small.submit(let_go.wait, 10) for _ in range(5)]
    with pytest.raises(pool.Full):
        small.submit(print)
    let_go.set()
    assert [call.result(5) for call in calls] == [True] * 5
    assert small.submit(lambda: "room again").result(5) == "room again"
    assert len(small._threads) == 2
    small.end()
    assert not any(thread.is_alive() for thread in small._threads)


def test_one_request_at_a_time_needs_one_thread() -> None:
    lazy = pool.Pool(threads=8, queue=8)
    for _ in range(20):
        lazy.submit(int).result(5)
    assert len(lazy._threads) == 1
    lazy.end()


def test_a_call_given_up_while_it_waited_is_not_made() -> None:
    small = pool.Pool(threads=1, queue=1)
    let_go, made = threading.Event(), []
    first = small.submit(let_go.wait, 10)
    second = small.submit(made.append, 1)
    assert second.cancel()
    let_go.set()
    assert first.result(5)
    small.end()
    assert (made, small._taken) == ([], 0)


def test_what_a_call_raises_reaches_the_caller_and_leaves_the_thread() -> None:
    small = pool.Pool(threads=1, queue=1)
    with pytest.raises(ZeroDivisionError):
        small.submit(lambda: 1 / 0).result(5)
    assert small.submit(lambda: 1).result(5) == 1
    small.end()


def test_when_the_queue_is_full_a_request_is_told_to_come_again(fast_path: Put, fast: Settings) -> None:
    fast.SCORER_FAST = {**fast.SCORER_FAST, "ASGI_THREADS": 1, "ASGI_QUEUE": 1}
    let_go = threading.Event()

    def slow(request: HttpRequest) -> HttpResponse:
        let_go.wait(10)
        return JsonResponse({"from": "fast"})

    fast_path(slow)
    application = get_asgi_application()

    async def ask() -> list[int]:
        waiting = [asyncio.create_task(over_asgi(application)) for _ in range(2)]
        while pool._pool()._taken < 2:
            await asyncio.sleep(0.01)
        third = await over_asgi(application)
        let_go.set()
        return [third["status"], *(answer["status"] for answer in await asyncio.gather(*waiting))]

    assert asyncio.run(ask()) == [503, 200, 200]


# ---- where a call runs


marker: contextvars.ContextVar[str] = contextvars.ContextVar("marker")


def where() -> tuple[str, str, bool]:
    name = "pool" if threading.current_thread().name == "scorer-fast-asgi" else "caller"
    return name, marker.get("unset"), connection.in_atomic_block


def test_a_servers_request_runs_in_the_pool_with_its_context() -> None:
    async def request() -> Any:
        async with ThreadSensitiveContext():
            marker.set("of this request")
            return await pool.run(where)

    assert asyncio.run(request()) == ("pool", "of this request", False)


def test_a_sync_middleware_above_alone_does_not_keep_it_from_the_pool() -> None:
    async def request() -> Any:
        async with ThreadSensitiveContext():
            return await sync_to_async(async_to_sync(inner))()

    async def inner() -> Any:
        return await pool.run(where)

    assert asyncio.run(request())[0] == "pool"


def test_a_transaction_that_a_sync_middleware_opened_keeps_it_on_that_connection() -> None:
    async def inner() -> Any:
        return await pool.run(where)

    def middleware() -> Any:
        with transaction.atomic():
            answer = async_to_sync(inner)()
        connections.close_all()
        return answer

    async def request() -> Any:
        async with ThreadSensitiveContext():
            return await sync_to_async(middleware)()

    assert asyncio.run(request()) == ("caller", "unset", True)


def test_a_test_client_in_a_transaction_stays_on_its_connection() -> None:
    with transaction.atomic():
        assert async_to_sync(pool.run)(where) == ("caller", "unset", True)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_worker_has_threads_of_its_own() -> None:
    pool._pool().submit(int).result(5)
    child = os.fork()
    if child == 0:
        os._exit(0 if pool._pool().submit(lambda: 7).result(5) == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
