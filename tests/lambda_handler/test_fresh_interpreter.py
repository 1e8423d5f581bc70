"""A new Python for each: what a Lambda runtime does, with nothing set up and nothing imported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scorer_fast.cutover import flags
from scorer_fast.db import watchdog
from scorer_fast.http.catalogue import BY_ID, Auth
from tests.factories.database import database_url
from tests.host import asks
from tests.lambda_handler.conftest import OWNER, fill
from tests.lambda_handler.events import HOST, READY, event, many, of_ask

ROOT = Path(__file__).resolve().parents[2]
# Imports the handler as the runtime does, answers the events of its standard input, and says what is there then.
RUNTIME = """
import importlib, json, sys
name = sys.argv[1]
module, _, attribute = name.rpartition(".")
handler = getattr(importlib.import_module(module), attribute)
imported = sorted(sys.modules)
class Context:
    aws_request_id = "r-1"
    function_name = "fresh"
    def get_remaining_time_in_millis(self): return 20_000
answers = [handler(event, Context()) for event in json.load(sys.stdin)]
import threading
threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("scorer-fast")]
print(json.dumps({"imported": imported, "answers": answers, "modules": sorted(sys.modules), "threads": threads}))
"""


SETTINGS = "tests.lambda_handler.function_settings"

pytestmark = pytest.mark.django_db(transaction=True)


def run(*events: dict[str, Any], name: str = "handler", **environment: str) -> dict[str, Any]:
    """What a new interpreter answers, in which no settings are named but those of ``environment``."""
    given = {key: value for key, value in os.environ.items() if key not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL")}
    ended = subprocess.run(
        [sys.executable, "-c", RUNTIME, f"scorer_fast.lambda_handler.{name}"],
        input=json.dumps(events),
        cwd=ROOT,
        env={**given, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.fixture
def secrets(tmp_path: Path) -> str:
    """What the host loads at import: where the database is, and the settings that know this app."""
    stored = tmp_path / "secrets.json"
    stored.write_text(json.dumps({"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": SETTINGS}))
    return str(stored)


def of(operation: str) -> dict[str, Any]:
    return of_ask(asks.of_operation(operation, OWNER, "Provider00", "Provider05"))


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


@pytest.mark.parametrize("name", ["handler", "manage"])
def test_importing_it_needs_nothing(name: str) -> None:
    found = run(name=name)
    assert not [module for module in found["imported"] if module.split(".")[0] in ("django", "ninja", "didkit")]


def test_nobody_behind_it() -> None:
    fill()
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    found = run(
        of("v2_score"),
        of("embed_score"),
        SCORER_FAST_HOST_HANDLER="",
        DJANGO_SETTINGS_MODULE=SETTINGS,
        DATABASE_URL=database_url(),
    )
    score, refused = found["answers"]
    assert (score["statusCode"], body(score)["score"]) == (200, "25.50000")
    assert "X-Scorer-Path" not in score["headers"]
    assert refused["statusCode"] == 503  # legacy, by its flag
    assert 1 <= int(refused["headers"]["Retry-After"]) <= 5
    assert set(found["threads"]) <= {watchdog.NAME}


@pytest.mark.parametrize("operation", ["v2_score", "embed_score", "cache_get_stamps"])
def test_in_front_of_the_hosts_handler_which_loads_secrets_and_sets_django_up(operation: str, secrets: str) -> None:
    fill()
    asked = of(operation)
    environment = {"SCORER_FAST_HOST_HANDLER": HOST[operation], "HOST_SECRETS": secrets}
    [legacy] = run(asked, **environment)["answers"]
    assert legacy["statusCode"] == 200
    assert "X-Scorer-Path" not in legacy["headers"]  # as without this app
    flags.set_mode(operation, "fast", None, "a test", "test")
    [fast] = run(asked, **environment)["answers"]
    assert fast["headers"].pop("X-Scorer-Path") == "fast"
    assert fast["headers"] == legacy["headers"]
    assert body(fast).keys() == body(legacy).keys()


def test_the_hosts_handler_is_imported_when_a_request_needs_it(secrets: str) -> None:
    fill()
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    environment = {
        "SCORER_FAST_HOST_HANDLER": HOST["v2_score"],
        "SCORER_FAST_LAMBDA_SETUP": READY,
        "HOST_SECRETS": secrets,
    }
    found = run(of("v2_score"), **environment)
    assert found["answers"][0]["headers"]["X-Scorer-Path"] == "fast"
    assert "tests.host.aws_lambdas.v2" not in found["modules"]
    flags.kill("all", reason="a test", by="test")
    found = run(of("v2_score"), **environment)
    assert found["answers"][0]["headers"]["X-Scorer-Path"] == "legacy"
    assert "tests.host.aws_lambdas.v2" in found["modules"]


def test_lambda_sets_django_up_in_its_init_phase(secrets: str) -> None:
    found = run(
        AWS_LAMBDA_FUNCTION_NAME="submit-stamps",
        SCORER_FAST_HOST_HANDLER=HOST["v2_score"],
        SCORER_FAST_LAMBDA_SETUP=READY,
        HOST_SECRETS=secrets,
    )
    assert {"django.db.backends.postgresql.base", "scorer_fast.lambda_handler.dialect"} <= {*found["imported"]}
    assert "tests.host.aws_lambdas.v2" not in found["imported"]


def test_the_hosts_whole_application_answers_a_health_check_too() -> None:
    fill()
    health_check = event("GET", "/internal/embed/weights", headers={"user-agent": "ELB-HealthChecker/2.0"})
    environment = {"DJANGO_SETTINGS_MODULE": SETTINGS, "DATABASE_URL": database_url()}
    answers = run(of("embed_score"), many(of("embed_score")), health_check, many(health_check), **environment)
    assert [answer["statusCode"] for answer in answers["answers"]] == [200, 200, 200, 200]
    assert ["headers" in answer for answer in answers["answers"]] == [True, False, True, False]
    assert answers["threads"] == [watchdog.NAME]


# What no function needs: pages, checks, guard, shadow, Ninja's views, signatures that are remembered, spans of nobody.
NOT_NEEDED = {
    "apig_wsgi",
    "Crypto",
    "didkit",
    "django_ratelimit",
    "hypothesis",
    "multiprocessing",
    "ninja.security",
    "opentelemetry",
    "scorer_fast.console.pages",
    "scorer_fast.cutover.gauges",
    "scorer_fast.cutover.guard",
    "scorer_fast.cutover.rollout",
    "scorer_fast.cutover.shadow.run",
    "scorer_fast.doctor",
    "scorer_fast.http.api",
    "scorer_fast.http.auth",
    "scorer_fast.http.schemas",
    "scorer_fast.management",
    "scorer_fast.otel",
    "scorer_fast.scoring.rescore",
    "statistics",
}
OF_TOKENS = {"cryptography", "jwt", "scorer_fast.http.tokens"}


@pytest.mark.parametrize(
    ("is_of_tokens", "needless"), [(False, NOT_NEEDED | OF_TOKENS), (True, NOT_NEEDED)], ids=["no token", "token"]
)
def test_nothing_is_imported_that_the_operations_do_not_need(
    is_of_tokens: bool, needless: set[str], secrets: str
) -> None:
    fill()
    operations = [name for name in HOST if (BY_ID[name].auth is Auth.TOKEN) == is_of_tokens]
    for operation in operations:
        flags.set_mode(operation, "fast", None, "a test", "test")
    environment = {"SCORER_FAST_HOST_HANDLER": HOST["v2_score"], "SCORER_FAST_LAMBDA_SETUP": READY}
    found = run(*map(of, operations), HOST_SECRETS=secrets, **environment)
    answers = found["answers"]
    assert [answer["headers"]["X-Scorer-Path"] for answer in answers] == ["fast"] * len(operations)
    assert [answer["statusCode"] for answer in answers] == [BY_ID[name].status for name in operations]
    assert not needless & {*found["modules"]}
