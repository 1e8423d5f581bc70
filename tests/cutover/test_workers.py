"""Several worker processes of a real server: what one person sets reaches all of them."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from scorer_fast.cutover import flags
from scorer_fast.cutover.dispatch import HEADER
from tests.factories.database import database_url

from .conftest import OWNER

ROOT = Path(__file__).resolve().parents[2]
PATH = f"/internal/stake/gtc/{OWNER}"
WORKERS = 2

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[int]:
    """A server on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", *(argument.format(port=port) for argument in arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "tests.cutover.server_settings",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                assert server.poll() is None, server.stdout and server.stdout.read().decode()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=20)


def gunicorn(*more: str) -> tuple[str, ...]:
    return (
        "gunicorn", "django.core.wsgi:get_wsgi_application()", "--bind", "127.0.0.1:{port}",
        "--workers", str(WORKERS), "--worker-class", "gthread", "--threads", "2", "--no-control-socket", *more,
    )  # fmt: skip


def ask(port: int, **headers: str) -> tuple[str, str | None, str]:
    """Worker, side as the header tells it, and who the body is of."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    client.request("GET", PATH, headers={"Authorization": "test-internal-token", "Connection": "close", **given})
    answer = client.getresponse()
    body = answer.read()
    client.close()
    assert answer.status == 200, body
    side = answer.getheader(HEADER)
    assert (b'"from": "host"' in body) is (side != "fast")
    return answer.getheader("X-Worker") or "", side, body.decode()


def sides(port: int, seconds: float, until: Callable[[dict[str, str | None]], bool]) -> dict[str, str | None]:
    """Side by worker, asked until every worker was heard and ``until`` holds of all."""
    deadline = time.monotonic() + seconds
    while True:
        heard: dict[str, str | None] = {}
        for _ in range(200):
            worker, side, _ = ask(port)
            heard[worker] = side
            if len(heard) == WORKERS:
                break
        if len(heard) == WORKERS and until(heard):
            return heard
        assert time.monotonic() < deadline, heard


def all_are(side: str | None) -> Callable[[dict[str, str | None]], bool]:
    return lambda heard: set(heard.values()) == {side}


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_a_change_reaches_all_workers_within_five_seconds(preload: tuple[str, ...]) -> None:
    with serving(*gunicorn(*preload)) as port:
        sides(port, 20, all_are(None))
        flags.set_mode("gtc_stake", "split", "100", "everybody", "test")
        sides(port, 5, all_are("fast"))
        flags.set_mode("gtc_stake", "split", "0", "nobody", "test")
        sides(port, 5, all_are("legacy"))
        flags.set_mode("gtc_stake", "fast", None, "everybody", "test")
        sides(port, 5, all_are("fast"))
        flags.kill("all", reason="trouble", by="test")
        sides(port, 5, all_are("legacy"))
        assert ask(port, X_Use_Fast_Scorer="true")[1] == "legacy"
        flags.release("all", reason="no trouble", by="test")
        flags.latch("gtc_stake", rule="errors", value=1, limit=0, window="1 min", sample=10)
        sides(port, 5, all_are("legacy"))
        flags.lift("gtc_stake", reason="repaired", by="test")
        sides(port, 5, all_are("fast"))


def test_the_environment_stops_a_server_whatever_the_database_says() -> None:
    flags.set_mode("gtc_stake", "fast", None, "everybody", "test")
    with serving(*gunicorn(), SCORER_FAST_KILL="1") as port:
        sides(port, 10, all_are("legacy"))
        for _ in range(20):
            assert ask(port, X_Use_Rust_Scorer="true")[1] == "legacy"


def test_a_change_reaches_an_asgi_server_and_its_connections_stay_few() -> None:
    arguments = (
        "uvicorn", "django.core.asgi:get_asgi_application", "--factory", "--host", "127.0.0.1",
        "--port", "{port}", "--log-level", "warning", "--lifespan", "off",
    )  # fmt: skip
    with serving(*arguments) as port:
        assert ask(port)[1] is None
        flags.set_mode("gtc_stake", "fast", None, "everybody", "test")
        deadline = time.monotonic() + 5
        while ask(port)[1] != "fast":
            assert time.monotonic() < deadline
        backends = set()
        for _ in range(50):
            assert ask(port)[1] == "fast"
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND query LIKE '%%stake%%'"
                )
                backends |= {pid for (pid,) in cursor.fetchall()}
        assert len(backends) == 1
