"""What the fast path cannot answer: by the host where that is right, by 503 where nobody may."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured, TooManyFieldsSent
from django.db import InterfaceError, OperationalError, connection, connections, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from scorer_fast.cutover import circuit, figures, flags
from scorer_fast.cutover.dispatch import HEADER, dispatch, follow
from scorer_fast.cutover.shadow import run as shadow
from scorer_fast.errors import OutOfTime, Problem, Refused, VerifierDown
from scorer_fast.http.catalogue import BY_ID
from scorer_fast.run import run_of

from .conftest import OWNER, SCORE

Put = Callable[[Callable[[HttpRequest], HttpResponse]], None]


@pytest.fixture(autouse=True)
def everything_fast(installed: Settings) -> None:
    installed.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": "fast"}}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Operation, side and outcome of each figure."""
    found: list[tuple[str, str, str]] = []
    monkeypatch.setattr(
        figures,
        "record",
        lambda operation, side, seconds, outcome, caller=None: found.append((operation, side, outcome.value)),
    )
    return found


def raising(error: BaseException, *, committing: bool = False) -> Callable[[HttpRequest], HttpResponse]:
    def answer(request: HttpRequest) -> HttpResponse:
        run_of(request).is_committing = committing
        raise error

    return answer


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


pytestmark = pytest.mark.django_db


def test_the_fast_path_answers_and_says_so(fast_path: Put, recorded: list[Any]) -> None:
    response = Client().get(SCORE)
    assert (response.status_code, response.json()) == (200, {"from": "fast"})
    assert response.headers[HEADER] == "fast"
    assert recorded == [("v2_score", "fast", "ok")]


def by_route(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A host's middleware that counts requests by route, once they were answered."""

    def around(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        assert request.resolver_match is not None
        response["X-Route"] = f"{request.resolver_match.view_name} {sorted(request.resolver_match.kwargs)}"
        return response

    return around


@pytest.mark.parametrize(
    ("urls", "route"),
    [
        ("tests.host.urls", "host:v2_score ['address', 'scorer_id']"),
        # A host that has no such route: this app's own.
        ("tests.cutover.no_routes", "v2_score ['address', 'scorer_id']"),
    ],
)
def test_middleware_around_the_fast_path_finds_the_route(
    urls: str, route: str, installed: Settings, fast_path: Put
) -> None:
    installed.ROOT_URLCONF = urls
    installed.MIDDLEWARE = [f"{__name__}.by_route", *installed.MIDDLEWARE]
    response = Client().get(SCORE)
    assert (response.headers[HEADER], response.headers["X-Route"]) == ("fast", route)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        KeyError("a bug"),
        RecursionError(),
        MemoryError(),
        ImproperlyConfigured("a bug"),
        caused(RuntimeError("outer"), ValueError("inner")),
        ConnectionError("the cache, say"),
    ],
    ids=repr,
)
def test_an_unexpected_failure_is_answered_by_the_host(
    error: Exception, fast_path: Put, recorded: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    fast_path(raising(error))
    response = Client().get(SCORE)
    assert (response.status_code, response.json()["from"]) == (200, "host")
    assert response.headers[HEADER] == "legacy"
    assert recorded == [("v2_score", "fast", "fallback"), ("v2_score", "legacy", "stood_in")]
    (record,) = [record for record in caplog.records if record.name == "scorer_fast.cutover.dispatch"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.operation == "v2_score"


def test_what_django_refuses_is_the_clients_doing_and_opens_no_circuit(
    fast_path: Put, recorded: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """More parameters than Django reads, say: anybody can send such requests."""
    fast_path(raising(TooManyFieldsSent("too many")))
    for _ in range(20):
        assert Client().get(SCORE)[HEADER] == "legacy"
    assert not circuit.of("v2_score").is_open
    assert set(recorded) == {("v2_score", "fast", "handed_over"), ("v2_score", "legacy", "stood_in")}
    assert not caplog.records


@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_answer_of_500_is_a_failure_too(status: int, fast_path: Put, recorded: list[Any]) -> None:
    fast_path(lambda request: HttpResponse("oops", status=status))
    response = Client().get(SCORE)
    assert (response.status_code, response.json()["from"]) == (200, "host")
    assert recorded[0] == ("v2_score", "fast", "fallback")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 429])
def test_a_refusal_is_an_answer(status: int, fast_path: Put, recorded: list[Any]) -> None:
    fast_path(lambda request: JsonResponse({"detail": "no"}, status=status))
    response = Client().get(SCORE)
    assert (response.status_code, response.json()) == (status, {"detail": "no"})
    assert response.headers[HEADER] == "fast"
    served = status in (400, 404, 409)
    assert recorded == [("v2_score", "fast", "client_error" if served else "refused")]


def test_a_refusal_that_was_raised_is_an_answer_too(fast_path: Put, recorded: list[Any]) -> None:
    fast_path(raising(Refused(Problem.INVALID_ADDRESS)))
    response = Client().get(SCORE)
    assert (response.status_code, response.json()) == (400, {"detail": "Invalid address."})
    assert recorded == [("v2_score", "fast", "client_error")]


def real(statement: str) -> Callable[[HttpRequest], HttpResponse]:
    """An answer that PostgreSQL itself prevents."""

    def answer(request: HttpRequest) -> HttpResponse:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
        raise AssertionError("PostgreSQL let it through")

    return answer


@pytest.mark.parametrize(
    "answer",
    [
        raising(OperationalError("server closed the connection unexpectedly")),
        raising(OperationalError("sorry, too many clients already")),
        raising(InterfaceError("connection already closed")),
        raising(connection.Database.OperationalError("untranslated")),
        raising(TimeoutError("the statement took too long")),
        raising(VerifierDown()),
        raising(caused(RuntimeError("wrapped"), OperationalError("lost"))),
        raising(RuntimeError("a bug after COMMIT"), committing=True),
        raising(OperationalError("lost at COMMIT"), committing=True),
        raising(Refused(Problem.BUSY)),
        real("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)"),
        lambda request: HttpResponse(status=503, headers={"Retry-After": "1"}, content=b'{"detail": "busy"}'),
    ],
    ids=[
        "lost", "too many connections", "interface", "driver", "timeout", "verifier", "cause",
        "bug after commit", "lost at commit", "busy", "query canceled", "503",
    ],
)  # fmt: skip
def test_time_and_the_database_are_503_and_never_the_hosts_to_bear(
    answer: Any, fast_path: Put, recorded: list[Any]
) -> None:
    fast_path(answer)
    response = Client().get(SCORE)
    assert response.status_code == 503
    assert list(json.loads(response.content)) == ["detail"]
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers[HEADER] == "fast"
    # A bug that shows after COMMIT is no fault of the infrastructure, though nobody may answer in its place.
    assert recorded in ([("v2_score", "fast", each)] for each in ("infrastructure", "error", "timed_out"))
    assert not circuit.of("v2_score").is_open


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (raising(OutOfTime("a second attempt")), "timed_out"),
        (real("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)"), "timed_out"),
        (real("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '55P03'; END $$"), "infrastructure"),
        (raising(OperationalError("lost")), "infrastructure"),
    ],
    ids=["deadline", "statement", "lock", "lost"],
)
def test_what_ran_out_of_time_is_told_apart(answer: Any, outcome: str, fast_path: Put, recorded: list[Any]) -> None:
    fast_path(answer)
    assert Client().get(SCORE).status_code == 503
    assert recorded == [("v2_score", "fast", outcome)]


def test_after_a_commit_a_500_is_not_tried_again(fast_path: Put) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        run_of(request).is_committing = True
        return HttpResponse("oops", status=500)

    fast_path(answer)
    assert Client().get(SCORE).status_code == 503


def test_what_a_failed_fast_path_wrote_is_gone_and_the_host_can_write(fast_path: Put) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE half_way ()")
            cursor.execute("SELECT * FROM a_table_that_is_not_there")
        raise AssertionError

    fast_path(answer)
    response = Client().get(f"/internal/stake/gtc/{OWNER}")  # the host's view asks the database
    assert (response.status_code, response.json()["from"]) == (200, "host")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('half_way')")
        assert cursor.fetchone() == (None,)


def test_the_host_reads_the_body_the_fast_path_has_read(fast_path: Put) -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        assert json.loads(request.body) == {"proof_values": ["a"]}
        raise RuntimeError("after reading")

    fast_path(answer)
    response = Client().post("/internal/check-revocations", {"proof_values": ["a"]}, content_type="application/json")
    assert json.loads(response.json()["body"]) == {"proof_values": ["a"]}


def test_a_body_too_big_is_refused_by_its_header(fast_path: Put, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 4
    request = RequestFactory().post("/internal/check-revocations", b"0123456789", content_type="application/json")
    request._stream = Unreadable()
    response = dispatch(request, host)
    assert (response.status_code, response.headers[HEADER]) == (413, "fast")


class Unreadable:
    """A body that nobody may wait for."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body is read")

    def close(self) -> None:
        """Nothing is left to close."""


def host(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the host is asked")


def test_a_body_that_somebody_has_read_from_is_the_hosts_matter(fast_path: Put) -> None:
    request = RequestFactory().post("/internal/check-revocations", b"0123", content_type="application/json")
    request.read(1)
    answers: list[HttpRequest] = []
    dispatch(request, lambda asked: answers.append(asked) or HttpResponse())
    assert answers == [request]


SECRET = "prefix.a-very-secret-key"


@pytest.mark.parametrize(
    "headers",
    [{"X-API-Key": SECRET}, {"Authorization": f"Bearer {SECRET}"}, {"Cookie": f"session={SECRET}"}],
)
@pytest.mark.parametrize(
    "error",
    [RuntimeError(f"while checking {SECRET}"), caused(RuntimeError("x"), ValueError(f"session={SECRET}"))],
)
def test_the_log_holds_no_secret_of_the_request(
    headers: dict[str, str], error: Exception, fast_path: Put, caplog: pytest.LogCaptureFixture
) -> None:
    fast_path(raising(error))
    assert Client().get(SCORE, headers=headers).json()["from"] == "host"
    (record,) = [record for record in caplog.records if record.name == "scorer_fast.cutover.dispatch"]
    said = logging.Formatter().format(record)
    assert SECRET not in said
    assert SECRET not in str(record.exc_info)
    assert "Traceback" in said


def test_a_bug_in_the_choosing_is_the_hosts_answer(fast_path: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "choose", lambda *_: 1 / 0)
    response = Client().get(SCORE)
    assert response.json()["from"] == "host"
    assert HEADER not in response.headers


# ---- the circuit


def test_an_open_circuit_means_the_host_answers_and_the_fast_path_is_left_alone(
    fast_path: Put, settings: Settings
) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CIRCUIT_FAILURES": 3}
    calls = []

    def answer(request: HttpRequest) -> HttpResponse:
        calls.append(request)
        raise RuntimeError("always")

    fast_path(answer)
    answers = [Client().get(SCORE) for _ in range(6)]
    assert [(one.status_code, one.json()["from"], one.headers[HEADER]) for one in answers] == [
        (200, "host", "legacy")
    ] * 6
    assert len(calls) == 3
    fast_path(lambda request: JsonResponse({"from": "fast"}))
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CIRCUIT_COOLDOWN_SECONDS": 0}
    assert Client().get(SCORE).headers[HEADER] == "fast"
    assert not circuit.of("v2_score").is_open


def test_a_503_during_the_trial_lets_the_next_request_try(fast_path: Put, settings: Settings) -> None:
    settings.SCORER_FAST = {
        **settings.SCORER_FAST, "CIRCUIT_FAILURES": 1, "CIRCUIT_COOLDOWN_SECONDS": 0,
    }  # fmt: skip
    fast_path(raising(RuntimeError("opens it")))
    Client().get(SCORE)
    fast_path(raising(OperationalError("says nothing of the fast path")))
    assert Client().get(SCORE).status_code == 503
    fast_path(lambda request: JsonResponse({"from": "fast"}))
    assert Client().get(SCORE).headers[HEADER] == "fast"


# ---- the plain function


@pytest.fixture
def control() -> Iterator[Callable[[HttpRequest], HttpResponse]]:
    return lambda request: JsonResponse({"from": "control"})


def test_the_plain_function_dispatches_without_a_middleware(fast_path: Put, control: Any) -> None:
    response = dispatch(RequestFactory().get(SCORE), control)
    assert (json.loads(response.content), response.headers[HEADER]) == ({"from": "fast"}, "fast")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/elsewhere"), ("HEAD", SCORE), ("OPTIONS", SCORE), ("POST", SCORE)]
)
def test_the_plain_function_passes_on_what_is_no_operation(
    method: str, path: str, fast_path: Put, control: Any
) -> None:
    response = dispatch(RequestFactory().generic(method, path), control)
    assert json.loads(response.content) == {"from": "control"}
    assert HEADER not in response.headers


def test_the_plain_function_falls_back_to_control(fast_path: Put, control: Any) -> None:
    fast_path(raising(RuntimeError("a bug")))
    response = dispatch(RequestFactory().get(SCORE), control)
    assert (json.loads(response.content), response.headers[HEADER]) == ({"from": "control"}, "legacy")


def test_what_control_raises_stays_raised(fast_path: Put, recorded: list[Any], settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": "split"}}
    with pytest.raises(LookupError):
        dispatch(RequestFactory().get(SCORE), lambda request: {}["nothing"])
    assert recorded == [("v2_score", "legacy", "error")]


def test_a_dispatch_inside_a_dispatch_decides_once(fast_path: Put) -> None:
    fast_path(raising(RuntimeError("counted once")))
    calls: list[int] = []

    def control(request: HttpRequest) -> HttpResponse:
        return dispatch(request, lambda inner: calls.append(1) or JsonResponse({"from": "control"}))

    response = dispatch(RequestFactory().get(SCORE), control)
    assert json.loads(response.content) == {"from": "control"}
    assert calls == [1]


# ---- figures


@pytest.mark.parametrize(
    ("mode", "measure", "expected"),
    [
        ("legacy", False, []),
        ("legacy", True, [("v2_score", "legacy", "ok")]),
        ("split", False, [("v2_score", "legacy", "ok")]),
        ("shadow", False, [("v2_score", "legacy", "ok")]),
        ("fast", False, [("v2_score", "fast", "ok")]),
    ],
)
def test_every_request_that_is_not_plain_legacy_is_measured(
    mode: str, measure: bool, expected: list[Any], fast_path: Put, recorded: list[Any], settings: Settings
) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": mode}, "MEASURE_LEGACY": measure}
    response = Client().get(SCORE)
    assert [figure for figure in recorded if figure[1] in ("fast", "legacy")] == expected
    assert (HEADER in response.headers) == (mode != "legacy")


def test_connecting_is_the_hosts_time_and_the_shadows_read_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The read comes first and so finds no connection: without it the host would have had to open one."""
    seconds: list[float] = []
    waits = [0.1]
    ensure_connection = connection.ensure_connection

    def connect() -> None:
        time.sleep(waits.pop() if waits else 0)
        ensure_connection()

    def read(*_: Any) -> None:
        connection.ensure_connection()
        time.sleep(1)

    monkeypatch.setattr(connections["default"], "ensure_connection", connect)
    monkeypatch.setattr(shadow, "before", read)
    monkeypatch.setattr(figures, "record", lambda operation, side, took, *more: seconds.append(took))
    request = RequestFactory().get(SCORE)
    follow(flags.Route.SHADOW, BY_ID["v2_score"], request, lambda request: JsonResponse({}))
    assert 0.1 <= seconds[0] < 1


@pytest.mark.parametrize("mode", ["split", "shadow"])
def test_the_hosts_answers_are_log_lines_too(
    mode: str, settings: Settings, caplog: pytest.LogCaptureFixture, fast_path: Put
) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": mode}}
    with caplog.at_level(logging.INFO, "scorer_fast.request"):
        Client().get(SCORE, headers={"X-Request-ID": "one"})
    (line,) = [record.__dict__ for record in caplog.records if record.name == "scorer_fast.request"]
    assert {name: line[name] for name in ("operation", "side", "request_id", "status", "outcome")} == {
        "operation": "v2_score", "side": "legacy", "request_id": "one", "status": 200, "outcome": "ok",
    }  # fmt: skip
    assert line["duration_ms"] > 0


def test_the_hosts_own_errors_are_counted_as_the_hosts(fast_path: Put, recorded: list[Any], settings: Settings) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": "split"}}
    client = Client(raise_request_exception=False)
    response = client.get(f"/internal/allow-list/broken/{OWNER}")
    assert (response.status_code, response.headers[HEADER]) == (500, "legacy")
    assert recorded == [("allow_list", "legacy", "error")]


def test_a_circuit_that_one_client_opened_is_that_clients_doing(
    fast_path: Put, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Others whom the host answers then must not look like many who met an error."""
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": "fast"}, "CIRCUIT_FAILURES": 3}
    callers: dict[str, set[int | None]] = {}

    def record(operation: str, side: str, seconds: float, outcome: Any, caller: int | None = None) -> None:
        callers.setdefault(outcome.value, set()).add(caller)

    monkeypatch.setattr(figures, "record", record)
    fast_path(raising(RuntimeError("poison")))
    for _ in range(3):
        Client().get(SCORE)
    for number in range(5):
        Client().get(f"/v2/stamps/1/score/0x{number:040x}")
    assert callers["circuit_open"] == callers["fallback"]
    assert len(callers["fallback"]) == 1
