"""Shadow: the host's answer, always and unchanged; and what the fast path makes of it, off the answer's path."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.cache import cache
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from pytest_django import Settings

from api.account.models import AccountAPIKey, AccountAPIKeyAnalytics
from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import Claim
from api.registry.models import Event, Passport, Score
from scorer_fast import pool
from scorer_fast.cutover import deliberate, dispatch, figures, flags, redact
from scorer_fast.cutover import outcomes as outcomes_module
from scorer_fast.cutover.shadow import finding_queries as sql
from scorer_fast.cutover.shadow import findings, races, run, worker
from scorer_fast.http import call
from scorer_fast.http.catalogue import BY_ID
from scorer_fast.models import Mismatch, MismatchSample
from tests.factories import rows
from tests.factories.rows import OWNER
from tests.host import world

pytestmark = pytest.mark.django_db

ALLOW, V2, BANS, WEIGHTS = (BY_ID[name] for name in ("allow_list", "v2_score", "check_bans", "embed_weights"))
ADDRESS = "0x" + "a1" * 20
OTHER = "0x" + "b2" * 20
REQUESTS = RequestFactory()


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    run.reset()
    figures.reset()
    yield
    run.reset()
    figures.reset()


def allow_list(**headers: str) -> HttpRequest:
    return REQUESTS.get(f"/internal/allow-list/OGs/{ADDRESS}", headers=headers)


def v2(**headers: str) -> HttpRequest:
    return REQUESTS.get(f"/v2/stamps/1/score/{ADDRESS}", headers=headers)


def says(body: Any, status: int = 200) -> Callable[[HttpRequest], HttpResponse]:
    return lambda request: JsonResponse(body, safe=False, status=status)


class FakeRehearsal:
    """A rehearsal whose decision is known beforehand."""

    def __init__(self, body: Any, status: int = 200, rows: Any = None, now_rows: Any = None) -> None:
        self.planned = call.Planned(
            status, json.dumps(body).encode(), rows or {}, lambda: now_rows if now_rows is not None else rows or {}
        )
        self.decided_at: list[datetime] = []

    def decide(self, now: datetime) -> call.Planned:
        self.decided_at.append(now)
        return self.planned


Plan = Callable[..., FakeRehearsal]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Have the fast path decide what a test says."""

    def put(body: Any, status: int = 200, rows: Any = None, now_rows: Any = None) -> FakeRehearsal:
        rehearsal = FakeRehearsal(body, status, rows, now_rows)
        monkeypatch.setattr(call, "rehearse", lambda request: rehearsal)
        return rehearsal

    return put


def outcomes() -> dict[str, int]:
    counted: dict[str, int] = {}
    for (_, _, outcome), (number, _) in figures._recorder.counts.items():
        counted[outcome] = counted.get(outcome, 0) + number
    return counted


def groups() -> set[tuple[str, str, str, str]]:
    return set(Mismatch.objects.values_list("operation", "category", "path", "kind"))


def shadow(
    request: HttpRequest, control: Callable[[HttpRequest], HttpResponse], operation: Any = ALLOW
) -> HttpResponse:
    return run.shadow(operation, request, control)


# ---- finding


def test_agreement_is_counted_and_nothing_is_kept(plan: Plan) -> None:
    rehearsal = plan({"is_member": True})
    before = datetime.now(UTC)
    response = shadow(allow_list(), says({"is_member": True}))
    assert json.loads(response.content) == {"is_member": True}
    assert outcomes() == {"matched": 1}
    assert not Mismatch.objects.exists()
    (decided_at,) = rehearsal.decided_at
    assert before <= decided_at <= datetime.now(UTC)


def test_a_difference_is_kept_with_both_answers(plan: Plan) -> None:
    plan({"is_member": False})
    response = shadow(allow_list(Authorization="test-internal-token"), says({"is_member": True}))
    assert json.loads(response.content) == {"is_member": True}
    assert outcomes() == {"mismatched": 1}
    assert groups() == {("allow_list", "mismatch", "body.is_member", "value")}
    sample = MismatchSample.objects.get()
    assert sample.request == {
        "method": "GET",
        "path": f"/internal/allow-list/OGs/{ADDRESS}",
        "headers": {"Cookie": "", "Authorization": redact.REDACTED},
        "body": None,
    }
    assert sample.control == {"status": 200, "body": {"is_member": True}, "value": True}
    assert sample.candidate == {"status": 200, "body": {"is_member": False}, "value": False}


def test_statuses_and_rows_are_compared(plan: Plan) -> None:
    plan({}, 404)
    shadow(v2(), says({}), V2)
    row = {"provider": "Google", "credential_digest": "ab"}
    plan({}, rows={"registry_stamp": [row]}, now_rows={"registry_stamp": [row, {**row, "provider": "Github"}]})
    shadow(v2(), says({}), V2)
    assert groups() == {
        ("v2_score", "mismatch", "status", "value"),
        ("v2_score", "mismatch", "rows.registry_stamp[]", "missing"),
    }


def test_an_exception_of_the_fast_path_is_a_finding(monkeypatch: pytest.MonkeyPatch, plan: Plan) -> None:
    rehearsal = plan({})

    def fail(now: datetime) -> call.Planned:
        raise LookupError("a key of secret-token-value")

    monkeypatch.setattr(rehearsal, "decide", fail)
    shadow(allow_list(Authorization="secret-token-value"), says({}))

    def fail_at_once(request: HttpRequest) -> call.Rehearsal:
        raise ZeroDivisionError

    monkeypatch.setattr(call, "rehearse", fail_at_once)
    shadow(allow_list(), says({}))
    assert outcomes() == {"mismatched": 2}
    assert groups() == {
        ("allow_list", "mismatch", "exception.LookupError", "value"),
        ("allow_list", "mismatch", "exception.ZeroDivisionError", "value"),
    }
    for sample in MismatchSample.objects.all():
        assert "secret-token-value" not in json.dumps([sample.request, sample.control, sample.candidate])


def test_a_deliberate_difference_is_no_mismatch(plan: Plan) -> None:
    plan({"detail": "x"}, 404)
    shadow(REQUESTS.get("/internal/embed/weights?community_id=abc"), says({}, 500), WEIGHTS)
    assert outcomes() == {"deliberate": 1}
    group = Mismatch.objects.get()
    assert (group.category, group.rule, group.path) == ("deliberate", "weights_of_no_community", "status")


def test_a_failure_of_the_host_is_told_apart(plan: Plan) -> None:
    plan({"is_member": True})
    response = shadow(allow_list(), says({}, 500))
    assert response.status_code == 500
    assert outcomes() == {"host_failed": 1}
    assert groups() == {("allow_list", "host_failed", "status", "value")}


def test_a_client_over_its_rate_limit_is_not_compared(plan: Plan) -> None:
    rehearsal = plan({"score": "1"})
    shadow(v2(), says({"detail": "You have been rate limited!"}, 429), V2)
    assert outcomes() == {"rate_limited": 1}
    assert rehearsal.decided_at == []


def test_a_stamp_beyond_the_bounds_may_be_left_out(plan: Plan) -> None:
    """Where the host counts it; and only while the address has such a stamp."""
    plan({"score": "0"}, rows={"registry_passport": [{"address": OWNER}]})
    (stamp,) = rows.stamps(OWNER, "Google")
    for stored, expected in (
        (stamp.stamp, {"mismatched": 1}),
        ({**stamp.stamp, "proof": {"type": "Ed25519Signature2020"}}, {"mismatched": 1, "deliberate": 1}),
    ):
        CeramicCache.objects.update(stamp=stored)
        shadow(v2(), says({"score": "1"}), V2)
        assert outcomes() == expected
    assert ("v2_score", "deliberate", "body.score", "value") in groups()


def test_facts_about_the_key_are_looked_up(plan: Plan) -> None:
    account = world.make_account()
    plan({"detail": "Invalid API Key."}, 401)
    for expected in ("mismatched", "deliberate"):
        shadow(v2(**{"X-API-Key": world.API_KEY}), says({"score": "1"}), V2)
        assert outcomes()[expected] == 1
        AccountAPIKey.objects.filter(account=account).update(expiry_date=datetime.now(UTC) - timedelta(days=1))
    shadow(v2(Authorization=f"Bearer {world.API_KEY}"), says({"score": "1"}), V2)
    assert outcomes() == {"mismatched": 1, "deliberate": 2}
    shadow(v2(Authorization="Bearer unknown.key"), says({"score": "1"}), V2)
    assert outcomes()["mismatched"] == 2


# ---- keeping


def test_groups_count_and_keep_a_few_samples(plan: Plan, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "SHADOW_SAMPLES_PER_GROUP": 3}
    plan({"stamps": {"Google": 1, "Github": 2}})
    for _ in range(5):
        shadow(v2(), says({"stamps": {"Google": 2, "Github": 3}}), V2)
    group = Mismatch.objects.get()
    assert (group.path, group.count, group.samples.count()) == ("body.stamps.*", 5, 3)
    assert group.first_seen < group.last_seen


def test_groups_of_an_operation_are_bounded(plan: Plan, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "SHADOW_GROUPS_PER_OPERATION": 2}
    plan({})
    shadow(v2(), says({"address": 1, "score": 2, "threshold": 3, "error": 4}), V2)
    shadow(v2(), says({"address": 1}), V2)
    found = {group.path: group.count for group in Mismatch.objects.all()}
    assert found == {"body.address": 2, "body.error": 1, "other": 2}


def test_nothing_secret_is_kept(plan: Plan, settings: Settings) -> None:
    settings.CGRANTS_API_TOKEN = "the-internal-token"
    plan({"detail": "the candidate's page repeats mysecret.Key0123456789"})
    request = REQUESTS.post(
        "/internal/check-bans?token=in-the-query&key=mysecret.Key0123456789",
        data=json.dumps([{"password": "in-the-body", "credentialSubject": {"proofValue": "0xdeadbeef01"}}]),
        content_type="application/json",
        headers={"X-API-Key": "mysecret.Key0123456789", "Cookie": "sessionid=in-the-cookie"},
    )
    control = says(
        {"a": "the-internal-token", "b": "in-the-cookie", "c": ["in-the-query", "in-the-body", "0xdeadbeef01"]}
    )
    shadow(request, control, BANS)
    kept = json.dumps(list(MismatchSample.objects.values("request", "control", "candidate")))
    for secret in ("mysecret", "in-the", "the-internal-token", "0xdeadbeef01"):
        assert secret not in kept


def test_what_jsonb_cannot_hold_is_kept_as_text(plan: Plan) -> None:
    plan({})
    control = HttpResponse(b'{"a": "\\u0000", "b": NaN, "c": "\\ud800", "\\u0000": 1e400}')
    shadow(allow_list(), control_of(control))
    assert outcomes() == {"mismatched": 1}
    assert MismatchSample.objects.first().control["body"]["a"] == "\\u0000"


def control_of(response: HttpResponse) -> Callable[[HttpRequest], HttpResponse]:
    return lambda request: response


# ---- never in the way


STAGES: dict[str, tuple[Any, str]] = {
    "sampling": (run.random, "random"),
    "copying the request": (run, "copy_of"),
    "opening the read": (run, "reading"),
    "knowing the caller": (outcomes_module, "caller"),
    "recording the time": (figures, "record"),
    "looking at the clock": (run, "_on_event_loop"),
    "comparing": (run, "compare"),
    "sorting out": (deliberate, "sort_out"),
    "explaining": (races, "explain"),
    "redacting": (findings, "Redactor"),
    "storing the group": (sql, "upsert_mismatch"),
    "storing the sample": (sql, "insert_sample"),
    "processing": (run, "_outcome"),
}


@pytest.mark.parametrize("error", [RuntimeError("bug"), RecursionError("deep"), OperationalError("away")])
@pytest.mark.parametrize("stage", STAGES)
def test_a_fault_at_any_stage_costs_a_count_and_nothing_else(
    stage: str, error: Exception, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan({"is_member": False}, rows={"registry_stamp": [{"provider": "A"}]}, now_rows={})

    def fail(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(*STAGES[stage], fail)
        response = shadow(allow_list(), says({"is_member": True}))
    assert (response.status_code, json.loads(response.content)) == (200, {"is_member": True})
    assert outcomes() == {"unavailable" if isinstance(error, OperationalError) else "failed": 1}
    assert not MismatchSample.objects.exists()


def test_a_fault_of_counting_costs_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan({"is_member": False})
    monkeypatch.setattr(figures, "_recorder", None)
    assert shadow(allow_list(), says({"is_member": True})).status_code == 200
    monkeypatch.undo()


def test_a_fault_is_logged_without_its_text(plan: Plan, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    plan({"is_member": False})
    monkeypatch.setattr(run, "compare", lambda *_: {}["a secret"])
    shadow(allow_list(), says({}))
    assert "shadow of allow_list failed: KeyError at " in caplog.text
    assert "a secret" not in caplog.text


def test_what_the_host_raises_goes_to_the_client(plan: Plan) -> None:
    plan({})

    def control(request: HttpRequest) -> HttpResponse:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shadow(allow_list(), control)
    assert outcomes() == {"host_raised": 1}


def test_a_streamed_answer_is_left_alone(plan: Plan) -> None:
    plan({})
    response = shadow(allow_list(), lambda request: StreamingHttpResponse(iter([b"a", b"b"])))  # type: ignore[arg-type,return-value]
    assert b"".join(response.streaming_content) == b"ab"  # type: ignore[attr-defined]
    assert outcomes() == {"not_comparable": 1}


def test_the_hosts_view_gets_its_own_request_with_the_body_unread(plan: Plan) -> None:
    plan({})
    rehearsed: list[HttpRequest] = []
    rehearse = call.rehearse
    seen: dict[str, Any] = {}

    def control(request: HttpRequest) -> HttpResponse:
        request.auth = "the host's"  # type: ignore[attr-defined]
        seen["body"] = request.read()
        return JsonResponse({})

    def note(request: HttpRequest) -> Any:
        rehearsed.append(request)
        request.auth = "the rehearsal's"  # type: ignore[attr-defined]
        assert request.read() == b"[1]"
        return rehearse(request)

    call.rehearse = note  # type: ignore[assignment]
    request = REQUESTS.post("/internal/check-bans", data="[1]", content_type="application/json")
    shadow(request, control, BANS)
    call.rehearse = rehearse  # type: ignore[assignment]
    assert seen["body"] == b"[1]"
    assert request.auth == "the host's"  # type: ignore[attr-defined]
    assert rehearsed[0].auth == "the rehearsal's"  # type: ignore[attr-defined]


def test_a_body_that_cannot_be_read_is_the_hosts_matter(plan: Plan, settings: Settings) -> None:
    plan({})
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 3
    request = REQUESTS.post("/internal/check-bans", data="[1, 2]", content_type="application/json")
    assert shadow(request, says({}, 413), BANS).status_code == 413
    assert outcomes() == {"not_comparable": 1}


def test_a_share_of_the_requests_can_be_looked_at(plan: Plan, settings: Settings) -> None:
    plan({})
    settings.SCORER_FAST = {**settings.SCORER_FAST, "SHADOW_SAMPLE": 0}
    shadow(allow_list(), says({}))
    assert outcomes() == {}
    settings.SCORER_FAST = {**settings.SCORER_FAST, "SHADOW_SAMPLE": 0.5}
    for _ in range(400):
        shadow(allow_list(), says({}))
    assert 120 < outcomes()["matched"] < 280


# ---- only reading


@pytest.mark.django_db(transaction=True)
def test_the_reads_before_the_hosts_view_cannot_write(monkeypatch: pytest.MonkeyPatch) -> None:
    def rehearse(request: HttpRequest) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO registry_passport (community_id, address) VALUES (1, 'x')")

    monkeypatch.setattr(call, "rehearse", rehearse)
    assert shadow(v2(), says({}), V2).status_code == 200
    assert not Passport.objects.exists()
    ((_, _, path, _),) = groups()
    assert path == "exception.InternalError"
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


@pytest.mark.django_db(transaction=True)
def test_a_slow_read_is_given_up_and_then_left_out(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "SHADOW_READ_TIMEOUT_SECONDS": 0.05}

    def rehearse(request: HttpRequest) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(5)")

    monkeypatch.setattr(call, "rehearse", rehearse)
    started = time.monotonic()
    for _ in range(8):
        assert shadow(v2(), says({}), V2).status_code == 200
    assert time.monotonic() - started < 3
    assert outcomes() == {"unavailable": 5, "paused": 3}
    run._breaker._until = 0.0
    shadow(v2(), says({}), V2)
    assert outcomes() == {"unavailable": 6, "paused": 3}
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_failed_read_leaves_the_callers_transaction_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    def rehearse(request: HttpRequest) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")

    def control(request: HttpRequest) -> HttpResponse:
        Passport.objects.count()
        return HttpResponse()

    monkeypatch.setattr(call, "rehearse", rehearse)
    with transaction.atomic():
        assert shadow(v2(), control, V2).status_code == 200
    ((_, _, path, _),) = groups()
    assert path == "exception.ProgrammingError"


# ---- off the answer's path


@pytest.fixture
def background(settings: Settings) -> Settings:
    settings.SCORER_FAST = {"BACKGROUND": True, "FIGURES_FLUSH_SECONDS": 600}
    return settings


class SlowRehearsal(FakeRehearsal):
    """Decides once it may."""

    def __init__(self) -> None:
        super().__init__({})
        self.may_decide = threading.Event()

    def decide(self, now: datetime) -> call.Planned:
        self.may_decide.wait(10)
        return super().decide(now)


@pytest.mark.django_db(transaction=True)
def test_the_answer_does_not_wait_for_the_decision(background: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = SlowRehearsal()
    monkeypatch.setattr(call, "rehearse", lambda request: rehearsal)
    assert shadow(allow_list(), says({"is_member": True})).status_code == 200
    assert outcomes() == {}
    rehearsal.may_decide.set()
    assert run.wait()
    assert outcomes() == {"mismatched": 1}
    assert groups() == {("allow_list", "mismatch", "body.is_member", "missing")}


@pytest.mark.django_db(transaction=True)
def test_the_queue_is_bounded_and_what_does_not_fit_is_counted(
    background: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    background.SCORER_FAST = {**background.SCORER_FAST, "SHADOW_QUEUE": 2}
    rehearsal = SlowRehearsal()
    monkeypatch.setattr(call, "rehearse", lambda request: rehearsal)
    shadow(allow_list(), says({}))
    until = time.monotonic() + 5
    while run._worker._queue.qsize() and time.monotonic() < until:  # type: ignore[union-attr]
        time.sleep(0.01)
    for _ in range(5):
        assert shadow(allow_list(), says({})).status_code == 200
    assert outcomes() == {"queue_full": 3}
    rehearsal.may_decide.set()
    assert run.wait()
    assert outcomes() == {"queue_full": 3, "matched": 3}


@pytest.mark.django_db(transaction=True)
def test_what_waited_too_long_is_dropped(background: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    background.SCORER_FAST = {**background.SCORER_FAST, "SHADOW_DEADLINE_SECONDS": 0.05}
    rehearsal = SlowRehearsal()
    monkeypatch.setattr(call, "rehearse", lambda request: rehearsal)
    for _ in range(3):
        shadow(allow_list(), says({}))
    time.sleep(0.1)
    rehearsal.may_decide.set()
    assert run.wait()
    assert outcomes() == {"too_late": 3}
    assert len(rehearsal.decided_at) == 1


@pytest.mark.django_db(transaction=True)
def test_an_idle_thread_gives_its_connection_back(
    background: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.1)
    before = _connections()
    plan({"is_member": True})
    shadow(allow_list(), says({}))
    assert run.wait()
    until = time.monotonic() + 10
    while _connections() > before and time.monotonic() < until:
        time.sleep(0.05)
    assert _connections() == before
    shadow(allow_list(), says({}))
    assert run.wait()
    assert outcomes() == {"mismatched": 2}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_has_a_queue_of_its_own(settings: Settings) -> None:
    with run._worker._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if run._worker._lock.acquire(timeout=1) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        number: int = cursor.fetchone()[0]
    return number


# ---- races


@pytest.fixture
def community() -> None:
    world.make_community(world.make_account(), 1, {})


def event(address: str, at: datetime | None = None) -> None:
    row = Event.objects.create(action="SCU", address=address, data={}, community_id=1)
    if at is not None:
        Event.objects.filter(pk=row.pk).update(created_at=at)


def scored(address: str = ADDRESS) -> dict[str, Any]:
    return {
        "registry_passport": [{"address": address, "community_id": 1}],
        "registry_event": [{"action": "SCU", "data": {}, "created_at": datetime.now(UTC).isoformat()}],
    }


@pytest.mark.usefixtures("community")
@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], "mismatched"),
        ([ADDRESS], "mismatched"),  # the host's own
        ([ADDRESS, ADDRESS], "host_raced"),
        ([OTHER], "host_raced"),
        (["0x" + "c3" * 20], "mismatched"),
    ],
)
def test_a_difference_beside_another_scoring_decides_nothing(others: list[str], expected: str, plan: Plan) -> None:
    """Of the address itself, or of one that now holds a nullifier of it."""
    link = {"registry_hashscorerlink": [{"hash": "v0", "address": OTHER, "expires_at": None}]}
    plan({"score": "1"}, rows=scored(), now_rows=scored() | link)

    def control(request: HttpRequest) -> HttpResponse:
        event(ADDRESS, at=datetime.now(UTC) - timedelta(hours=1))
        for address in others:
            event(address)
        return JsonResponse({"score": "2"})

    shadow(v2(), control, V2)
    assert outcomes() == {expected: 1}


def test_a_difference_beside_new_stamps_decides_nothing(plan: Plan) -> None:
    plan({"score": "1"}, rows=scored(), now_rows=scored())

    def control(request: HttpRequest) -> HttpResponse:
        world.give([Claim(ADDRESS, "Google")])
        return JsonResponse({"score": "2"})

    shadow(v2(), control, V2)
    assert outcomes() == {"host_raced": 1}


@pytest.mark.usefixtures("community")
def test_a_scoring_the_fast_path_did_not_plan_is_a_finding_when_it_comes_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = BY_ID["cache_get_score"]
    request = REQUESTS.get(f"/ceramic-cache/score/{ADDRESS}")
    plan({"score": "1"})

    def control(request: HttpRequest) -> HttpResponse:
        Event.objects.all().delete()
        event(ADDRESS)
        return JsonResponse({"score": "2"})

    shadow(request, control, operation)
    assert outcomes() == {"host_raced": 1}
    later(monkeypatch, 2)
    shadow(request, control, operation)
    assert outcomes() == {"host_raced": 1, "mismatched": 1}
    later(monkeypatch, 2000)
    shadow(request, control, operation)
    assert outcomes() == {"host_raced": 2, "mismatched": 1}


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    clock = time.monotonic
    monkeypatch.setattr(races, "time", SimpleNamespace(monotonic=lambda: clock() + seconds, perf_counter=clock))


def test_data_that_changed_between_the_two_reads_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsals = iter([FakeRehearsal({"is_member": False}), FakeRehearsal({"is_member": True})])
    monkeypatch.setattr(call, "rehearse", lambda request: next(rehearsals))
    shadow(allow_list(), says({"is_member": True}))
    assert outcomes() == {"inconclusive": 1}


def test_weights_may_be_a_minute_old(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan({"Google": 1})
    request = REQUESTS.get("/internal/embed/weights")
    shadow(request, says({"Google": 2}), WEIGHTS)
    later(monkeypatch, 30)
    shadow(request, says({"Google": 2}), WEIGHTS)
    assert outcomes() == {"inconclusive": 2}
    later(monkeypatch, 61)
    shadow(request, says({"Google": 2}), WEIGHTS)
    assert outcomes() == {"inconclusive": 2, "mismatched": 1}


# ---- A/A


@pytest.fixture
def noisy_host(settings: Settings) -> Settings:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "SHADOW_AA": True}
    settings.ROOT_URLCONF = "tests.cutover.small_host"
    return settings


def test_the_host_is_compared_with_itself(noisy_host: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "rehearse", lambda request: pytest.fail("A/A asks the host alone"))
    path = f"/internal/allow-list/OGs/{ADDRESS}"
    same = {"from": "host", "method": "GET", "path": path, "body": ""}
    shadow(allow_list(), says(same))
    assert outcomes() == {"aa_matched": 1}
    response = shadow(allow_list(), says({**same, "body": "other"}))
    assert json.loads(response.content)["body"] == "other"
    assert outcomes() == {"aa_matched": 1, "aa_differed": 1}
    assert groups() == {("allow_list", "noise", "body.body", "value")}


def test_a_host_that_fails_the_second_time_is_noise(noisy_host: Settings) -> None:
    shadow(REQUESTS.get("/internal/allow-list/broken/0x1"), says({}))
    assert groups() == {("allow_list", "noise", "status", "value")}


def test_operations_that_write_are_never_asked_twice(noisy_host: Settings, plan: Plan) -> None:
    rehearsal = plan({})
    shadow(v2(), says({}), V2)
    assert len(rehearsal.decided_at) == 1
    assert outcomes() == {"matched": 1}


# ---- beside the slow host


@pytest.fixture
def host(settings: Settings) -> Client:
    """The slow host with the middleware, every operation in shadow, one address with stamps."""
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"*": "shadow"}}
    account = world.make_account()
    world.make_community(account, 1, {"Google": "21", "Github": "1.5"})
    world.give([Claim(ADDRESS, "Google"), Claim(ADDRESS, "Github")])
    CeramicCache.objects.update(updated_at=datetime.now(UTC) - timedelta(hours=1))
    return Client()


def test_rate_limits_and_analytics_are_counted_once(host: Client, settings: Settings) -> None:
    settings.RATELIMIT_ENABLE = True
    settings.FF_API_ANALYTICS = "on"
    cache.clear()
    AccountAPIKey.objects.update(rate_limit="3/1h")
    statuses = [
        host.get(f"/v2/stamps/1/score/{ADDRESS}", headers={"X-API-Key": world.API_KEY}).status_code for _ in range(4)
    ]
    assert statuses == [200, 200, 200, 429]
    assert AccountAPIKeyAnalytics.objects.count() == 4
    assert outcomes() == {"matched": 3, "rate_limited": 1}
    assert not Mismatch.objects.exists()


def test_only_the_host_writes(host: Client) -> None:
    response = host.get(f"/v2/stamps/1/score/{ADDRESS}", headers={"X-API-Key": world.API_KEY})
    assert response.headers["X-Scorer-Path"] == "legacy"
    assert response.json()["score"] == "22.50000"
    assert (Score.objects.count(), Event.objects.filter(action="SCU").count()) == (1, 1)
    assert outcomes() == {"matched": 1}


def test_a_fault_put_into_the_hosts_rows_is_found(host: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(request: HttpRequest, get_response: Any = None) -> None:
        Score.objects.update(evidence={"rawScore": "1", "success": False})

    real = run.after

    def after(*arguments: Any) -> None:
        spoil(arguments[0])
        real(*arguments)

    monkeypatch.setattr(run, "after", after)
    host.get(f"/v2/stamps/1/score/{ADDRESS}", headers={"X-API-Key": world.API_KEY})
    paths = {path for _, _, path, _ in groups()}
    assert "rows.registry_score[].evidence.rawScore" in paths
    assert all(path.startswith("rows.registry_score[].evidence") for path in paths)


def test_database_errors_are_told_from_faults() -> None:
    assert run.is_unavailable(OperationalError())
    assert not run.is_unavailable(DatabaseError())
    assert connections["default"].vendor == "postgresql"


# ---- under ASGI


@pytest.mark.django_db(transaction=True)
def test_under_asgi_the_event_loop_is_never_asked_to_compare(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads go to the pool, comparing to the thread, even where work in the background is off."""
    settings.ROOT_URLCONF = "tests.cutover.small_host"
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    settings.SCORER_FAST = {**settings.SCORER_FAST, "MODES": {"*": "shadow"}}
    flags.current()
    seen: dict[str, str] = {}

    def rehearse(request: HttpRequest) -> Any:
        seen.setdefault("read", threading.current_thread().name)
        assert request.body == b"[1]"
        return FakeRehearsal({"from": "fast"})

    real = run.process

    def process(handle: run.Handle) -> None:
        seen["compared"] = threading.current_thread().name
        real(handle)

    monkeypatch.setattr(call, "rehearse", rehearse)
    monkeypatch.setattr(run, "process", process)

    async def ask() -> HttpResponse:
        client = AsyncClient()
        response: HttpResponse = await client.post("/internal/check-bans", "[1]", content_type="application/json")
        return response

    response = async_to_sync(ask)()
    assert json.loads(response.content)["from"] == "host"
    assert json.loads(response.content)["body"] == "[1]"
    assert run.wait()
    assert outcomes() in ({"mismatched": 1}, {"inconclusive": 1})
    assert seen["compared"] == "scorer-fast-shadow"
    assert seen["read"] != "scorer-fast-shadow"


# ---- cut off, raced


BUSY = BY_ID["cache_get_score"]


def get_score() -> HttpRequest:
    return REQUESTS.get(f"/ceramic-cache/score/{ADDRESS}")


def test_a_request_met_by_another_of_its_address_is_raced_with_a_sample(plan: Plan) -> None:
    """The host's scoring is not atomic: the other request may have taken the stamps away for a moment."""
    plan({"score": "1"})

    def control(request: HttpRequest) -> HttpResponse:
        shadow(get_score(), says({"score": "1"}), BUSY)
        return JsonResponse({"score": "0.00000"})

    shadow(get_score(), control, BUSY)
    assert outcomes() == {"matched": 1, "host_raced": 1}
    assert groups() == {("cache_get_score", "host_raced", "body.score", "value")}
    assert MismatchSample.objects.count() == 1
    shadow(get_score(), says({"score": "0.00000"}), BUSY)  # nobody beside it: a finding
    assert outcomes()["mismatched"] == 1


@pytest.mark.parametrize("end", ["raised", "failed"])
def test_what_a_request_of_the_host_that_was_cut_off_left_behind_is_no_mismatch(end: str, plan: Plan) -> None:
    plan({"score": "1"})

    def control(request: HttpRequest) -> HttpResponse:
        if end == "raised":
            raise ConnectionError("killed between delete and insert")
        return JsonResponse({}, status=500)

    with suppress(ConnectionError):
        shadow(get_score(), control, BUSY)
    shadow(get_score(), says({"score": "0.00000"}), BUSY)
    assert outcomes()["host_cut"] == 1
    assert ("cache_get_score", "host_cut", "body.score", "value") in groups()
    other = REQUESTS.get(f"/ceramic-cache/score/{OTHER}")
    shadow(other, says({"score": "0.00000"}), BUSY)
    assert outcomes()["mismatched"] == 1


def test_a_missing_key_is_named(plan: Plan) -> None:
    plan({"score": {"score": "1", "stamps": {}}})
    shadow(allow_list(), says({"score": {"score": "1", "stamps": {"Ens": 1}, "linked_score": None}}))
    assert groups() == {
        ("allow_list", "mismatch", "body.score.linked_score", "missing"),
        ("allow_list", "mismatch", "body.score.stamps.*", "missing"),
    }


@pytest.mark.django_db(transaction=True)
def test_every_read_has_an_outcome_also_when_its_client_goes_away(
    settings: Settings, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled while the reads are taken, while the host answers, or not at all."""
    settings.MIDDLEWARE = ["scorer_fast.cutover.middleware.ScorerFastMiddleware"]
    rehearsal = plan({"is_member": True})
    reads: list[int] = []
    operation = BY_ID["allow_list"]

    def rehearse(request: HttpRequest) -> Any:
        reads.append(1)
        time.sleep(0.02)
        return rehearsal

    monkeypatch.setattr(call, "rehearse", rehearse)

    async def control(request: HttpRequest) -> HttpResponse:
        await asyncio.sleep(0.02)
        return JsonResponse({"is_member": True})

    async def ask(after: float) -> None:
        task = asyncio.ensure_future(dispatch.follow_async(flags.Route.SHADOW, operation, allow_list(), control))
        await asyncio.sleep(after)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def all_of_them() -> None:
        for round_ in range(10):
            await asyncio.gather(*(ask(0.002 * number) for number in range(round_ % 3, 54)))
        await sync_to_async(connections.close_all)()  # after the last read, in its thread

    asyncio.run(all_of_them())
    pool.reset()  # ends once its threads are done
    assert run.wait()
    counted = outcomes()
    assert len(reads) == sum(counted.values())
    assert set(counted) <= {"matched", "went_away"}
    assert counted["went_away"] >= 10
