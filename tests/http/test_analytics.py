"""One row per call of an API key that was authenticated and parsed; storing it never changes the answer."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import Error, connection
from pytest_django import Settings

from api.account.models import AccountAPIKey, Community
from scorer_fast.errors import VerifierDown
from scorer_fast.http import analytics
from tests.factories import rows, tables
from tests.factories.requests import Request, good, key
from tests.factories.rows import API_KEY, OWNER
from tests.http.unchanged import refused

TABLE = "account_accountapikeyanalytics"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def analytics_on(one: Community, settings: Settings) -> Iterator[Community]:
    settings.FF_API_ANALYTICS = "on"
    yield one
    drop_faults()


def fault(table: str, message: str) -> None:
    """The database refuses to insert into a table."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION fail_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE '{message}'; END $$"
        )
        cursor.execute(f"CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail_{table}()")


def drop_faults() -> None:
    with connection.cursor() as cursor:
        for table in (TABLE, "registry_event"):
            cursor.execute(f"DROP TRIGGER IF EXISTS fail ON {table}")
            cursor.execute(f"DROP FUNCTION IF EXISTS fail_{table}()")


def ask(path: str = f"/v2/stamps/1/score/{OWNER}", **headers: str) -> Request:
    return Request("GET", path, headers=key() | headers)


def stored() -> list[dict[str, Any]]:
    return tables.rows(TABLE)


def test_a_good_call_is_stored_whole() -> None:
    response = ask(f"/v2/stamps/1/score/{OWNER}?a=1&a=2&b=", **{"X-Trace": "t", "Cookie": "session=1"}).send()
    (row,) = stored()
    api_key = AccountAPIKey.objects.get()
    assert row["path"] == f"/v2/stamps/1/score/{OWNER}"
    assert row["path_segments"] == ["v2", "stamps", "1", "score", OWNER]
    assert row["query_params"] == {"a": ["1", "2"], "b": [""]}
    assert (row["api_key_id"], row["status_code"], row["error"]) == (api_key.pk, 200, None)
    assert (row["response_skipped"], row["payload"], row["base_path"]) == (False, None, None)
    assert isinstance(row["response"], str), "a JSON string, not the object"
    assert json.loads(row["response"]) == response.json()
    assert row["headers"]["X-Api-Key"] == row["headers"]["Cookie"] == "***"
    assert row["headers"]["X-Trace"] == "t"


def test_the_key_in_authorization_is_masked_too() -> None:
    Request("GET", f"/v2/stamps/1/score/{OWNER}", headers={"Authorization": f"Bearer {API_KEY}"}).send()
    (row,) = stored()
    assert row["headers"]["Authorization"] == "***"
    assert API_KEY not in json.dumps(row)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        (f"/v2/stamps/999/score/{OWNER}", 404, "No scorer matches the given criteria."),
        ("/v2/stamps/1/score/nobody", 400, "Invalid address."),
    ],
)
def test_a_call_that_fails_is_stored_with_its_error(path: str, status: int, error: str) -> None:
    assert ask(path).send().status_code == status
    (row,) = stored()
    assert (row["status_code"], row["error"], row["response"]) == (status, error, None)


def test_limited_and_forbidden_calls_are_stored(analytics_on: Community, settings: Settings) -> None:
    settings.RATELIMIT_ENABLE = True
    rows.api_key(analytics_on.account, "limited1.x", rate_limit="1/15m", read_scores=False)
    request = ask(**{"X-API-Key": "limited1.x"})
    assert [request.send().status_code for _ in range(2)] == [403, 429]
    found = [(row["status_code"], row["error"], row["response"]) for row in stored()]
    assert found == [(403, "Invalid permissions for action.", None), (429, "", None)]


def test_unauthenticated_and_unparsed_calls_are_not_stored() -> None:
    assert ask(**{"X-API-Key": "wrong"}).send().status_code == 401
    assert ask(f"/v2/stamps/one/score/{OWNER}").send().status_code == 422
    assert stored() == []


@pytest.mark.parametrize("flag", ["off", "", "On", True, None])
def test_off_unless_on(flag: Any, settings: Settings) -> None:
    settings.FF_API_ANALYTICS = flag
    assert ask().send().status_code == 200
    assert stored() == []


def test_no_other_operation_is_stored() -> None:
    for operation in ("embed_validate_api_key", "internal_score", "embed_score", "cache_calc_score"):
        assert good(operation).send().status_code == 200
    assert stored() == []


def test_a_row_that_cannot_be_stored_does_not_fail_the_call(caplog: pytest.LogCaptureFixture) -> None:
    fault(TABLE, "on purpose")
    with caplog.at_level(logging.WARNING, "scorer_fast"):
        assert ask().send().status_code == 200
        assert ask(f"/v2/stamps/999/score/{OWNER}").send().status_code == 404
    messages = [record.message for record in caplog.records if record.name == "scorer_fast"]
    assert messages == ["a call could not be recorded"] * 2
    assert API_KEY not in caplog.text
    assert len(tables.rows("registry_score")) == 1
    assert stored() == []


@pytest.mark.parametrize("refusal", ["jsonb", "row"])
def test_a_row_that_cannot_be_stored_is_not_repeated_in_the_log(
    refusal: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    """PostgreSQL's own text shows the JSON it could not read, and the row that broke a constraint."""
    query = "?token=query-secret" + ("&x=%00" if refusal == "jsonb" else "")
    if refusal == "row":
        constraint = f"ALTER TABLE {TABLE} {{}} CONSTRAINT refused{{}}"
        with connection.cursor() as cursor:
            cursor.execute(constraint.format("ADD", " CHECK (status_code < 200)"))
        request.addfinalizer(lambda: connection.cursor().execute(constraint.format("DROP", "")))
    sent = ask(f"/v2/stamps/1/score/{OWNER}{query}", **{"X-Forwarded-Access-Token": "header-secret"})
    with caplog.at_level(logging.DEBUG):
        assert sent.send().status_code == 200
    (record,) = [record for record in caplog.records if record.name == "scorer_fast"]
    assert record.message == "a call could not be recorded"
    assert (record.error, record.sqlstate) == {
        "jsonb": ("DataError", "22P05"),
        "row": ("IntegrityError", "23514"),
    }[refusal]
    said = caplog.text + "".join(repr(vars(record)) for record in caplog.records if record.name != "django.request")
    for secret in ("query-secret", "header-secret", API_KEY, AccountAPIKey.objects.get().pk):
        assert secret not in said


def test_a_scoring_that_is_rolled_back_does_not_take_the_row_along() -> None:
    fault("registry_event", "on purpose")
    with pytest.raises(Error, match="on purpose"):
        ask().send()
    assert tables.rows("registry_score") == []
    (row,) = stored()
    assert (row["status_code"], row["response"]) == (500, None)
    assert row["error"]


def test_an_outage_is_stored_as_it_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise VerifierDown

    monkeypatch.setattr("scorer_fast.scoring.verify.verifier.verify", down)
    rows.stamps(OWNER, "Google")
    assert ask().send().status_code == 503
    (row,) = stored()
    assert (row["status_code"], row["error"], row["response"]) == (503, "VerifierDown", None)


def test_a_path_longer_than_its_column() -> None:
    response = ask(f"/v2/stamps/1/score/{'x' * 2000}").send()
    assert response.status_code == 400
    (row,) = stored()
    assert len(row["path"]) == analytics.PATH_LENGTH


@pytest.mark.parametrize("path", [f"/v2/stamps/1/score/{OWNER}%00", f"/v2/stamps/1/score/{OWNER}?q=%00"])
def test_a_call_no_row_can_hold_is_answered(path: str) -> None:
    assert ask(path).send().status_code in (200, 400)


def test_wrong_calls_leave_nothing_but_their_row() -> None:
    before = tables.state()
    assert ask("/v2/stamps/1/score/nobody").send().status_code == 400
    after = tables.state()
    assert [name for name in before if before[name] != after[name]] == [TABLE]


def test_a_refused_key_writes_nothing() -> None:
    refused(ask(**{"X-API-Key": "wrong.key"}), 401)
