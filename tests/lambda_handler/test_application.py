"""ALB events through apig-wsgi: the host's whole application, flags looked at in line."""

import base64
import builtins
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from pytest_django import Settings

from scorer_fast import lambda_handler
from scorer_fast.cutover import figures, flags
from scorer_fast.http import call
from scorer_fast.lambda_handler import application
from tests.lambda_handler.conftest import OWNER

SCORE = f"/v2/stamps/1/score/{OWNER}"

Put = Callable[[Callable[[HttpRequest], HttpResponse]], None]
# A server closes connections between requests, so the tests need transactions that are really committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def cold(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A small host with the one line in MIDDLEWARE."""
    monkeypatch.delenv(lambda_handler.HOST_HANDLER, raising=False)
    application._application.cache_clear()
    settings.ROOT_URLCONF = "tests.cutover.small_host"
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    settings.SCORER_FAST = {"BACKGROUND": True}  # what the handler must not rely on
    yield
    application._application.cache_clear()


@pytest.fixture
def fast_path(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put a function in the place of all operations."""

    def put(answer: Callable[[HttpRequest], HttpResponse]) -> None:
        monkeypatch.setattr(call, "call", answer)

    put(lambda request: JsonResponse({"from": "fast"}))
    return put


def event(method: str = "GET", path: str = SCORE, body: str = "", **more: Any) -> dict[str, Any]:
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:…"}},
        "httpMethod": method,
        "path": path,
        "multiValueQueryStringParameters": {},
        "multiValueHeaders": {"host": ["testserver"], "content-type": ["application/json"]},
        "body": body,
        "isBase64Encoded": False,
        **more,
    }


def test_an_event_is_answered_as_the_flags_say_without_any_thread(fast_path: Put, without_threads: None) -> None:
    answer = lambda_handler.handler(event(), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["from"] == "host"
    assert "X-Scorer-Path" not in answer["multiValueHeaders"]
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    answer = lambda_handler.handler(event(), None)
    assert json.loads(answer["body"]) == {"from": "fast"}
    assert answer["multiValueHeaders"]["X-Scorer-Path"] == ["fast"]


def test_repeated_headers_and_parameters_and_bodies_arrive_whole(fast_path: Put) -> None:
    def tell(request: HttpRequest) -> HttpResponse:
        response = JsonResponse(
            {"address": request.GET.getlist("address"), "forwarded": request.headers["X-Forwarded-For"]}
        )
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    fast_path(tell)
    flags.set_mode("cache_get_stamps", "fast", None, "a test", "test")
    asked = event(path="/ceramic-cache/stamp")
    asked["multiValueQueryStringParameters"] = {"address": [OWNER, "another"]}
    asked["multiValueHeaders"]["x-forwarded-for"] = ["10.0.0.1", "10.0.0.2"]
    answer = lambda_handler.handler(asked, None)
    assert json.loads(answer["body"]) == {"address": [OWNER, "another"], "forwarded": "10.0.0.1,10.0.0.2"}
    assert len(answer["multiValueHeaders"]["Set-Cookie"]) == 2


@pytest.mark.parametrize("encoded", [False, True])
def test_a_body_arrives_as_it_was_sent(encoded: bool, fast_path: Put) -> None:
    fast_path(lambda request: JsonResponse({"got": json.loads(request.body)}))
    flags.set_mode("check_revocations", "fast", None, "a test", "test")
    body = json.dumps({"proof_values": ["ä"]})
    if encoded:
        body = base64.b64encode(body.encode()).decode()
    answer = lambda_handler.handler(event("POST", "/internal/check-revocations", body, isBase64Encoded=encoded), None)
    assert json.loads(answer["body"]) == {"got": {"proof_values": ["ä"]}}


def test_a_fault_is_answered_by_the_host_here_too(fast_path: Put) -> None:
    fast_path(lambda request: {}["nothing"])
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    answer = lambda_handler.handler(event(), None)
    assert json.loads(answer["body"])["from"] == "host"
    assert answer["multiValueHeaders"]["X-Scorer-Path"] == ["legacy"]


def test_figures_are_stored_before_the_process_is_frozen(fast_path: Put, settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "FIGURES_FLUSH_SECONDS": 0}
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    figures.reset()
    lambda_handler.handler(event(), None)
    found = figures.read_all(datetime.now(UTC) - timedelta(minutes=2))["v2_score"]
    assert found["fast"].count() == 1


@pytest.mark.parametrize("hosts", [[], ["*"], [".example.org", "example.com"], ["localhost"]])
def test_a_load_balancers_health_check_brings_no_host(hosts: list[str], settings: Settings) -> None:
    settings.ALLOWED_HOSTS = hosts
    settings.DEBUG = False
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.common.CommonMiddleware"]
    for headers in ({"headers": {"user-agent": "ELB-HealthChecker/2.0"}}, {"multiValueHeaders": {"accept": ["*/*"]}}):
        asked = {key: value for key, value in event(path="/health").items() if "eaders" not in key}
        answer = lambda_handler.handler({**asked, **headers}, None)
        assert answer["statusCode"] == (200 if hosts else 400)  # no host is allowed at all


def test_single_valued_events_are_answered_in_their_form(fast_path: Put) -> None:
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    asked = event()
    asked["headers"] = {name: values[0] for name, values in asked.pop("multiValueHeaders").items()}
    answer = lambda_handler.handler(asked, None)
    assert json.loads(answer["body"]) == {"from": "fast"}
    assert answer["headers"]["X-Scorer-Path"] == "fast"


def test_without_apig_wsgi_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "apig_wsgi":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'scorer_fast\[lambda\]'"):
        lambda_handler.handler(event(), None)
