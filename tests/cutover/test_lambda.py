"""ALB events through apig-wsgi: the host's whole application, flags looked at in line."""

import base64
import builtins
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from pytest_django import Settings

from scorer_fast import lambda_handler
from scorer_fast.cutover import figures, flags

from .conftest import OWNER, SCORE

Put = Callable[[Callable[[HttpRequest], HttpResponse]], None]
# A server closes connections between requests, so the tests need transactions that are really committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def cold(installed: Settings) -> Iterator[None]:
    lambda_handler._application.cache_clear()
    installed.SCORER_FAST = {"BACKGROUND": True}  # what the handler must not rely on
    yield
    lambda_handler._application.cache_clear()


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


def test_an_event_is_answered_as_the_flags_say_without_any_thread(fast_path: Put) -> None:
    before = threading.active_count()
    answer = lambda_handler.handler(event(), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["from"] == "host"
    assert "X-Scorer-Path" not in answer["multiValueHeaders"]
    flags.set_mode("v2_score", "fast", None, "a test", "test")
    answer = lambda_handler.handler(event(), None)
    assert json.loads(answer["body"]) == {"from": "fast"}
    assert answer["multiValueHeaders"]["X-Scorer-Path"] == ["fast"]
    assert not [thread for thread in threading.enumerate() if thread.name == "scorer-fast-flags"]
    assert threading.active_count() <= before + 1  # the figures' thread, where BACKGROUND is on


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
    found = figures.read("v2_score", datetime.now(UTC) - timedelta(minutes=2))
    assert sum(found["fast"].buckets.values()) == 1


def test_single_valued_headers_are_refused_with_the_remedy() -> None:
    asked = event()
    asked["headers"] = {name: values[0] for name, values in asked.pop("multiValueHeaders").items()}
    with pytest.raises(ImproperlyConfigured, match=r"lambda\.multi_value_headers\.enabled"):
        lambda_handler.handler(asked, None)


def test_without_apig_wsgi_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "apig_wsgi":
            raise ImportError(name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'scorer_fast\[lambda\]'"):
        lambda_handler.handler(event(), None)
