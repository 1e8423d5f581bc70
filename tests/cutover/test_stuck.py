"""A real server whose clients stall, and whose rows somebody else holds: it answers, and the others are served."""

import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import connection

from api.account.models import Community
from settings.embedded_postgres import embedded
from tests.db.test_faults import somebody_else
from tests.factories.fixtures import host_settings, one
from tests.factories.relay import Relay
from tests.factories.requests import good

from .test_workers import gunicorn, serving

__all__ = ["host_settings", "one"]
pytestmark = pytest.mark.django_db(transaction=True)
SETTINGS = "tests.cutover.stuck_settings"


@contextmanager
def server(**environment: str) -> Iterator[int]:
    """One worker with two threads, everything on the fast path, nobody behind."""
    arguments = [
        *gunicorn()[:4],
        "--workers",
        "1",
        "--worker-class",
        "gthread",
        "--threads",
        "2",
        "--no-control-socket",
    ]
    with serving(*arguments, DJANGO_SETTINGS_MODULE=SETTINGS, **environment) as port:
        yield port


def ask(port: int, operation: str, timeout: float = 15) -> tuple[int, float, Any]:
    """Status, seconds, headers of one good request."""
    request = good(operation)
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    body = None if request.body is None else json.dumps(request.body)
    started = time.monotonic()
    client.request(request.method, request.path, body, headers={**request.headers, "Content-Type": "application/json"})
    answer = client.getresponse()
    answer.read()
    client.close()
    return answer.status, time.monotonic() - started, answer


def test_bodies_that_do_not_come_hold_nobody_up_without_a_caller_who_is_known(one: Community) -> None:
    with server() as port:
        assert ask(port, "check_bans")[0] == 200
        silent = []
        for _ in range(4):
            stalled = socket.create_connection(("127.0.0.1", port))
            stalled.sendall(
                b"POST /ceramic-cache/stamps/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b'Authorization: Bearer nobody\r\nContent-Length: 20000\r\n\r\n[{"provide'
            )
            silent.append(stalled)
        time.sleep(0.5)
        found = [ask(port, "check_bans")[:2] for _ in range(5)]
        for stalled in silent:
            assert stalled.recv(12) == b"HTTP/1.1 401"
            stalled.close()
    assert {status for status, _ in found} == {200}
    assert max(seconds for _, seconds in found) < 2


def test_a_locked_passport_is_a_503_and_look_ups_go_on(one: Community) -> None:
    with server() as port:
        assert ask(port, "internal_score")[0] == 200
        with closing(somebody_else()) as other:
            other.cursor().execute("SELECT FROM registry_passport FOR UPDATE")
            scorings: list[tuple[int, float, Any]] = []
            posts = [threading.Thread(target=lambda: scorings.append(ask(port, "cache_add_stamps"))) for _ in range(4)]
            for post in posts:
                post.start()
            time.sleep(0.4)
            looks = [ask(port, "gtc_stake")[:2] for _ in range(10)]
            for post in posts:
                post.join()
        assert ask(port, "cache_add_stamps")[0] == 201
    assert Counter(status for status, _, _ in scorings) == {503: 4}
    assert all(answer.getheader("Retry-After") for _, _, answer in scorings)
    assert max(seconds for _, seconds, _ in scorings) < 11
    assert {status for status, _ in looks} == {200}
    assert sorted(seconds for _, seconds in looks)[8] < 1


def test_a_table_that_is_altered_holds_nobody_up_for_ever(one: Community) -> None:
    with server() as port:
        assert ask(port, "internal_score")[0] == 200
        with closing(somebody_else()) as other:
            other.cursor().execute("LOCK TABLE registry_score IN ACCESS EXCLUSIVE MODE")
            status, seconds, answer = ask(port, "internal_score")
        assert (status, bool(answer.getheader("Retry-After"))) == (503, True)
        assert seconds < 11
        assert ask(port, "internal_score")[0] == 200


def test_a_database_that_says_nothing_is_a_503_in_time_and_is_found_again(one: Community) -> None:
    """Kept connections and new ones: nothing passes, and nobody is told."""
    relay = Relay(embedded(test=True).ensure_running())
    through = f"postgres://postgres@127.0.0.1:{relay.port}/{connection.settings_dict['NAME']}?connect_timeout=2"
    with server(DATABASE_URL=through, DEADLINE="2") as port:
        assert ask(port, "internal_score")[0] == 200
        relay.speaks.clear()
        found = [ask(port, operation) for operation in ("internal_score", "gtc_stake", "cache_add_stamps")]
        relay.speaks.set()
        assert ask(port, "internal_score")[0] == 200
    relay.end()
    assert {(status, bool(answer.getheader("Retry-After"))) for status, _, answer in found} == {(503, True)}
    assert max(seconds for _, seconds, _ in found) < 3


def test_one_who_says_when_it_came_is_not_served_too_late(one: Community) -> None:
    with server() as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        late = {**good("internal_score").headers, "X-Request-Start": f"t={time.time() - 5:.3f}"}
        client.request("GET", good("internal_score").path, headers=late)
        answer = client.getresponse()
        assert (answer.status, bool(answer.getheader("Retry-After"))) == (503, True)
        client.close()


def test_head_and_expect_are_answered(one: Community) -> None:
    request = good("check_bans")
    body = json.dumps(request.body).encode()
    with server() as port:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("HEAD", good("gtc_stake").path, headers=good("gtc_stake").headers)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == (405, b"")
        client.close()
        waiting = socket.create_connection(("127.0.0.1", port), 5)
        headers = {
            **request.headers,
            "Host": "x",
            "Content-Type": "application/json",
            "Content-Length": len(body),
            "Expect": "100-continue",
            "Connection": "close",
        }
        lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        waiting.sendall("\r\n".join(lines).encode())
        assert waiting.recv(25).startswith(b"HTTP/1.1 100")
        waiting.sendall(body)
        received = b""
        while chunk := waiting.recv(4096):
            received += chunk
        waiting.close()
        assert b"HTTP/1.1 200" in received
