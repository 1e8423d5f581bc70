"""What stands between a client and an operation: CSRF, sizes, content types, methods, query strings."""

import json
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.test import Client
from pytest_django import Settings

from api.account.models import Community
from scorer_fast import outages
from scorer_fast.http.catalogue import OPERATIONS
from tests.factories import rows
from tests.factories.requests import GOOD_STATUS, Request, good
from tests.factories.rows import OWNER
from tests.http.unchanged import nothing_written, refused

pytestmark = pytest.mark.django_db
IDS = [operation.id for operation in OPERATIONS]
WITH_BODY = [operation.id for operation in OPERATIONS if operation.method != "GET"]


@pytest.fixture(autouse=True)
def community(one: Community) -> Community:
    rows.stamps(OWNER, "Google")
    rows.ruleset("Custom", {"a": [1, None, 10**30]})
    return one


@pytest.mark.parametrize("operation", IDS)
def test_no_csrf_token_is_asked_for(operation: str) -> None:
    response = good(operation).send(Client(enforce_csrf_checks=True))
    assert response.status_code == GOOD_STATUS.get(operation, 200)


@pytest.mark.parametrize("operation", IDS)
def test_every_answer_is_json_of_one_line(operation: str) -> None:
    response = good(operation).send()
    assert response["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(response.content) == response.json()
    assert b"\n" not in response.content


@pytest.mark.parametrize("operation", WITH_BODY)
def test_a_body_larger_than_django_takes(operation: str, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    with nothing_written():
        answer = good(operation).with_(raw=b"[" + b" " * 2000 + b"]").send()
    assert (answer.status_code, answer.json()) == (413, {"detail": "The request body is too large."})


def with_type(request: Request, content_type: str) -> HttpResponse:
    body = json.dumps(request.body)
    return Client().generic(request.method, request.path, body, content_type=content_type, headers=request.headers)


@pytest.mark.parametrize("operation", WITH_BODY)
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"]
)
def test_a_body_is_json_whatever_it_calls_itself(operation: str, content_type: str) -> None:
    assert with_type(good(operation), content_type).status_code == GOOD_STATUS.get(operation, 200)


@pytest.mark.parametrize("operation", WITH_BODY)
def test_no_body_at_all(operation: str) -> None:
    with nothing_written():
        assert good(operation).with_(raw=b"").send().status_code in (400, 422)


@pytest.mark.parametrize("operation", IDS)
@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_methods_of_the_protocol(operation: str, method: str) -> None:
    with nothing_written():
        assert good(operation).with_(method=method).send().status_code == 405


@pytest.mark.parametrize("operation", IDS)
def test_paths_beside_its_own(operation: str) -> None:
    request = good(operation)
    path, mark, query = request.path.partition("?")
    with nothing_written():
        for other in (path + "/", path + "/x", "/" + path, path.upper(), path.replace("/", "//", 1)):
            assert request.with_(path=other + mark + query).send().status_code == 404


def test_a_query_may_name_a_parameter_twice() -> None:
    """The last one counts, as in any Ninja view."""
    request = Request("GET", f"/ceramic-cache/stamp?address=nobody&address={OWNER}")
    assert request.send().status_code == 200
    refused(Request("GET", f"/ceramic-cache/stamp?address={OWNER}&address=nobody"), 400)


def test_numbers_beyond_64_bits_are_given_back_digit_for_digit(community: Community) -> None:
    content = good("credential_definition").send().content
    assert b"1000000000000000000000000000000" in content
    stamp = good("cache_add_stamps").body[0]
    stamp["stamp"]["block"] = 2**256 - 1
    answer = good("cache_add_stamps").with_(body=[stamp]).send()
    assert str(2**256 - 1).encode() in answer.content
    assert answer.json()["stamps"][0]["stamp"]["block"] == 2**256 - 1


@pytest.mark.parametrize(
    ("error", "status"), [(UnreadablePostError("reset by peer"), 400), (RequestDataTooBig("too much"), 413)]
)
@pytest.mark.parametrize("operation", ["check_bans", "cache_add_stamps", "embed_add_stamps"])
def test_a_body_that_breaks_off_or_grows_is_the_clients_doing(
    operation: str, error: Exception, status: int, one: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who hangs up while it sends, and who announces no length and sends too much: no error of this service."""

    def read(request: HttpRequest) -> bytes:
        raise error

    monkeypatch.setattr(HttpRequest, "body", property(read))
    assert good(operation).send().status_code == status


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("ALTER TABLE scorer_fast_keptreading RENAME TO elsewhere", "42P01"),
        ("ALTER FUNCTION scorer_fast_token_1 RENAME TO elsewhere", "42883"),
        ("ALTER TABLE registry_score RENAME COLUMN evidence TO elsewhere", "42703"),
        ("SET LOCAL ROLE pg_read_all_stats", "42501"),
    ],
    ids=["table", "function", "column", "rights"],
)
def test_a_database_that_is_not_ready_is_503_where_nobody_stands_behind(
    before: str, words: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "_said", {})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(before)
        response = good("v2_score").send()
        transaction.set_rollback(True)
    assert (response.status_code, list(response.json())) == (503, ["detail"])
    assert int(response["Retry-After"]) >= 1
    (line,) = [record for record in caplog.records if record.name == "scorer_fast.outages"]
    assert words in line.message
    assert "doctor" in line.message
    assert line.exc_info is None
