"""Whether the process lives and can serve, as a load balancer asks: by IP, by HTTP, before everything else."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection
from django.test import AsyncClient, Client
from pytest_django import Settings

from scorer_fast.console import health
from scorer_fast.cutover import figures, flags
from scorer_fast.db import requirements
from scorer_fast.scoring import verifier
from tests.cutover.conftest import MIDDLEWARE

pytestmark = pytest.mark.django_db
COMMON = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
]
LAYOUTS = {
    "behind": (["scorer_fast.console.health.HealthMiddleware", *COMMON, MIDDLEWARE], "tests.host.urls"),
    "its middleware first": ([MIDDLEWARE, *COMMON], "tests.host.urls"),
    "its middleware alone": ([MIDDLEWARE], "tests.host.urls"),
    "URLs alone": ([], "scorer_fast.urls"),
}


@pytest.fixture(autouse=True)
def fresh() -> None:
    health.reset()


@pytest.fixture(params=LAYOUTS)
def probe(request: pytest.FixtureRequest, settings: Settings) -> Client:
    settings.MIDDLEWARE, settings.ROOT_URLCONF = LAYOUTS[request.param]
    settings.ALLOWED_HOSTS = ["scorer.example"]
    settings.SECURE_SSL_REDIRECT = True
    return Client(headers={"host": "10.1.2.3"})


@pytest.mark.parametrize("path", [health.HEALTH, health.READY])
def test_it_answers_whoever_asks(probe: Client, path: str) -> None:
    answer = probe.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"
    assert probe.head(path).status_code == 200
    assert probe.post(path).status_code == 405


def test_the_app_puts_it_before_all_other_middleware() -> None:
    from django.conf import settings

    assert settings.MIDDLEWARE[0] == "scorer_fast.console.health.HealthMiddleware"
    assert settings.MIDDLEWARE.count("scorer_fast.console.health.HealthMiddleware") == 1


def test_everything_else_passes(client: Client, settings: Settings) -> None:
    settings.MIDDLEWARE, settings.ROOT_URLCONF = LAYOUTS["behind"]
    assert client.get("/scorer-fast/healthy").status_code == 404
    assert client.get("/ceramic-cache/stamp?address=0x1").status_code != 404


def test_a_database_that_is_away_is_told_without_secrets(
    probe: Client, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def away(alias: str) -> str:
        raise OperationalError('connection to server at "10.0.0.9", user "scorer", password "s3cret" failed')

    monkeypatch.setattr(requirements, "get_server_version", away)
    monkeypatch.setattr(connection, "close", lambda: None)
    answer = probe.get(health.READY)
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not ready", "missing": ["database default: it cannot be asked"]},
    )
    assert probe.get(health.HEALTH).status_code == 200


def test_what_the_database_lacks_is_named(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE account_community RENAME TO elsewhere")
    answer = client.get(health.READY)
    assert answer.status_code == 503
    assert "account_community" in answer.json()["missing"][0]


def test_a_missing_function_is_named(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.oid::regprocedure FROM pg_proc AS p "
            "WHERE p.proname LIKE 'scorer_fast%' AND p.prorettype <> 'trigger'::regtype"
        )
        for (signature,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {signature} CASCADE")
    answer = client.get(health.READY)
    assert answer.status_code == 503
    assert "function" in answer.json()["missing"][0]


@pytest.mark.parametrize("verdict", [[False], TimeoutError()])
def test_a_didkit_that_cannot_tell_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch, verdict: Any
) -> None:  # fmt: skip
    def verify(*_: Any) -> list[bool]:
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    monkeypatch.setattr(verifier, "verify", verify)
    answer = client.get(health.READY)
    assert answer.status_code == 503
    assert answer.json()["missing"][0].startswith("didkit: ")


def test_many_probes_cost_as_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(requirements, "get_server_version", lambda alias: asked.append(alias) or "16")
    for _ in range(20):
        assert client.get(health.READY).status_code == 200
    assert len(asked) == 1


def test_probes_are_not_counted(probe: Client, settings: Settings) -> None:
    settings.SCORER_FAST = {"MEASURE_LEGACY": True, "FLAGS_INLINE": True, "MODES": {"*": "fast"}}
    flags.reset()
    probe.get(health.HEALTH)
    probe.get(health.READY)
    assert figures.flush() == 0


@pytest.mark.parametrize("layout", ["behind", "its middleware first"])
def test_under_asgi(settings: Settings, layout: str) -> None:
    settings.MIDDLEWARE, settings.ROOT_URLCONF = LAYOUTS[layout]
    settings.ALLOWED_HOSTS = ["scorer.example"]

    async def ask(path: str) -> int:
        return (await AsyncClient(headers={"host": "10.1.2.3"}).get(path)).status_code

    assert async_to_sync(ask)(health.HEALTH) == 200
    assert async_to_sync(ask)(health.READY) == 200
