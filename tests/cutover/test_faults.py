"""Faults at every statement of the real operations: no client sees one, and nothing is left half-done.

A fault is raised before or after a statement of the fast path, the host (`tests/host/`) answers, and exactly
one score event is there: the host's. Where a COMMIT may have been sent, it is a 503 and nobody asks again.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django_ratelimit import ALL
from django_ratelimit.core import get_usage
from pytest_django import Settings

from api.account.models import AccountAPIKey, AccountAPIKeyAnalytics
from api.demo_issuer import Claim, sign_credential
from api.registry.models import Event
from scorer_fast.cutover import circuit
from scorer_fast.cutover.dispatch import HEADER
from scorer_fast.http import call
from tests.host import world

from .conftest import MIDDLEWARE

OWNER = world.address(1)
NAMES = world.providers(4)
KEY = {"X-API-Key": world.API_KEY}
INTERNAL = {"Authorization": world.INTERNAL_TOKEN}
Put = Callable[[Callable[[HttpRequest], HttpResponse]], None]


class Fault(Exception):
    """Nothing that any code expects."""


class Injector:
    """Raises :class:`Fault` beside the statement of this number; counts the statements it saw."""

    def __init__(self, number: int, when: str) -> None:
        self.number, self.when, self.seen = number, when, 0
        self.sent_commit = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen += 1
        if self.seen == self.number and self.when == "before":
            raise Fault
        result = execute(sql, params, many, context)
        if self.seen == self.number:
            raise Fault
        return result

    def serve(self, request: HttpRequest) -> HttpResponse:
        with connection.execute_wrapper(self):
            try:
                return REAL(request)
            finally:
                self.sent_commit = call.commit_attempted(request)


REAL = call.call


@pytest.fixture
def stamped(settings: Settings) -> None:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = [MIDDLEWARE]
    settings.SCORER_FAST = {
        "BACKGROUND": False,
        "MODES": {"*": "fast"},
        "CIRCUIT_FAILURES": 0,
        "PRUNE_EVERY_SECONDS": 0,  # statements that may be due in the middle of it, and fail nobody
        "REVERIFY_ONE_IN": 0,
    }
    world.make_community(world.make_account(), 1, dict.fromkeys(NAMES, "10"))
    world.give(Claim(OWNER, name) for name in NAMES[:3])


def requests() -> dict[str, tuple[str, str, Any, dict[str, str]]]:
    token = {"Authorization": f"Bearer {world.token(OWNER)}"}
    new = sign_credential(OWNER, NAMES[3])
    return {
        "v2_score": ("GET", f"/v2/stamps/1/score/{OWNER}", None, KEY),
        "embed_add_stamps": (
            "POST", f"/internal/embed/stamps/{OWNER}", {"scorer_id": 1, "stamps": [new]}, INTERNAL,
        ),
        "cache_delete_stamps": ("DELETE", "/ceramic-cache/stamps/bulk", [{"provider": NAMES[0]}], token),
        "cache_get_stamps": ("GET", f"/ceramic-cache/stamp?address={OWNER}", None, {}),
        "check_bans": (
            "POST", "/internal/check-bans", [{"credentialSubject": {"hash": "h", "provider": "A", "id": OWNER}}],
            INTERNAL,
        ),
        "contributor_statistics": (
            "GET", f"/internal/cgrants/contributor_statistics?address={OWNER}", None, INTERNAL,
        ),
    }  # fmt: skip


def ask(operation: str) -> Any:
    method, path, body, headers = requests()[operation]
    return Client().generic(method, path, json.dumps(body), content_type="application/json", headers=headers)


def forget_scores() -> None:
    """The address as it was before anyone scored it, so that each attempt makes the same statements."""
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE registry_passport, registry_event, registry_hashscorerlink, "
            "scorer_fast_verifiedcredential CASCADE"
        )


def events() -> int:
    return Event.objects.filter(action=Event.Action.SCORE_UPDATE).count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stamped")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["v2_score", "embed_add_stamps", "check_bans", "contributor_statistics"])
def test_no_client_sees_a_fault_at_any_statement(operation: str, when: str, fast_path: Put) -> None:
    writes = {"v2_score": 1, "embed_add_stamps": 1}.get(operation, 0)
    statements = {"v2_score": 3, "embed_add_stamps": 2}.get(operation, 1)
    unknown = 0
    for number in range(1, 30):
        injector = Injector(number, when)
        fast_path(injector.serve)
        forget_scores()
        response = ask(operation)
        if injector.seen < number:
            break
        if injector.sent_commit:
            assert response.status_code == 503, f"at statement {number}"
            assert response.headers["Retry-After"]
            unknown += 1
            continue
        assert (response.status_code, response.headers[HEADER]) == (200, "legacy"), f"statement {number}"
        assert events() == writes
        assert connection.get_autocommit()
    assert (response.status_code, response.headers[HEADER]) == (200, "fast")
    assert injector.seen == number - 1 == statements, "every statement had its fault"
    assert unknown <= 1
    assert not circuit.of(operation).is_open


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("stamped")
@pytest.mark.parametrize("when", ["before", "after"])
def test_no_client_sees_a_fault_in_the_steady_state(when: str, fast_path: Put) -> None:
    """Where one autocommitted statement writes all there is to write: around it the outcome is unknown."""
    fast_path(REAL)
    assert ask("v2_score").headers[HEADER] == "fast"
    statuses = []
    for number in range(1, 10):
        injector = Injector(number, when)
        fast_path(injector.serve)
        response = ask("v2_score")
        statuses.append(response.status_code)
        if response.headers[HEADER] == "fast" and response.status_code == 200:
            break
        expected = (503, "fast") if injector.sent_commit else (200, "legacy")
        assert (response.status_code, response.headers[HEADER]) == expected
    assert statuses[0] == statuses[-1] == 200
    assert statuses.count(503) <= 1


def counted(rate: str = "1000/15m") -> int:
    """The calls of the key in this period, as the library knows them for both sides."""
    prefix = world.API_KEY.partition(".")[0]
    usage = get_usage(RequestFactory().get("/"), group="registry", key=lambda g, r: prefix, rate=rate, method=ALL)
    assert usage is not None
    return int(usage["count"])


@pytest.fixture
def limited(stamped: None, settings: Settings) -> None:
    """The key has a limit, and each call is recorded."""
    settings.RATELIMIT_ENABLE = True
    settings.FF_API_ANALYTICS = "on"
    AccountAPIKey.objects.update(rate_limit="1000/15m")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_is_counted_and_recorded_once_whoever_answers_it(when: str, fast_path: Put) -> None:
    """A fault before, at and after the count: the host counts anew, and what the fast path counted is given back."""
    sides = []
    for number in range(1, 30):
        injector = Injector(number, when)
        fast_path(injector.serve)
        forget_scores()
        AccountAPIKeyAnalytics.objects.all().delete()
        response = ask("v2_score")
        sides.append((response.status_code, response.headers[HEADER]))
        assert counted() == number
        if sides[-1] == (200, "legacy"):
            assert AccountAPIKeyAnalytics.objects.count() == 1
        if sides[-1] == (200, "fast") and injector.seen < number:
            break
    assert sides.count((200, "legacy")) >= 2
    assert sides[-1] == (200, "fast")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("limited")
def test_a_fault_takes_nothing_off_the_last_call_of_a_budget(fast_path: Put) -> None:
    AccountAPIKey.objects.update(rate_limit="2/15m")
    for _ in range(2):
        fast_path(Injector(2, "after").serve)
        assert (ask("v2_score").status_code, counted("2/15m")) in [(200, 1), (200, 2)]
    fast_path(REAL)
    over = ask("v2_score")
    assert (over.status_code, over.headers[HEADER]) == (429, "fast")
    assert over.json() == {"detail": "You have been rate limited!"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("limited")
def test_a_call_is_counted_once_under_asgi_too(fast_path: Put) -> None:
    fast_path(Injector(2, "after").serve)
    response = async_to_sync(AsyncClient().get)(f"/v2/stamps/1/score/{OWNER}", X_API_KEY=world.API_KEY)
    assert (response.status_code, response.headers[HEADER], counted()) == (200, "legacy", 1)


@pytest.mark.django_db
@pytest.mark.usefixtures("stamped")
@pytest.mark.parametrize("operation", ["cache_delete_stamps", "cache_get_stamps", "embed_add_stamps"])
def test_a_fault_inside_a_callers_transaction_leaves_it_to_the_host(operation: str, fast_path: Put) -> None:
    """As in a host's TestCase: each fault is undone to a savepoint, and the host goes on from there."""
    for number in range(1, 30):
        injector = Injector(number, "after")
        fast_path(injector.serve)
        with transaction.atomic():
            response = ask(operation)
            transaction.set_rollback(True)
        if response.headers[HEADER] == "fast" and response.status_code < 300:
            break
        assert (response.status_code, response.headers[HEADER]) in (
            [(503, "fast")] if injector.sent_commit else [(200, "legacy")]
        ), f"statement {number}: {response.content}"
    assert number > 1
