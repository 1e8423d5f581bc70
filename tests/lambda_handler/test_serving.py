"""The eleven functions in front of the host's own handlers: who answers, what is told of it, and nothing afterwards."""

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections
from django.http import HttpRequest
from pytest_django import Settings

from api.demo_issuer import Claim
from scorer_fast import lambda_handler
from scorer_fast.cutover import circuit, figures, flags, state_queries
from scorer_fast.cutover.figures import Outcome
from scorer_fast.cutover.shadow import races
from scorer_fast.http import call
from scorer_fast.lambda_handler import dialect
from scorer_fast.models import Mismatch
from tests.host import asks, world
from tests.lambda_handler.conftest import OWNER, PROVIDERS
from tests.lambda_handler.events import HOST, Context, event, many, of_ask

Asked = Callable[..., dict[str, Any]]


def of(operation: str, owner: str = OWNER) -> dict[str, Any]:
    return of_ask(asks.of_operation(operation, owner, PROVIDERS[0], "Provider05"))


def body(answer: dict[str, Any]) -> Any:
    return json.loads(answer["body"])


def side(answer: dict[str, Any]) -> str | None:
    found: str | None = answer["headers"].get("X-Scorer-Path")
    return found


@pytest.fixture
def ask(host: None, without_threads: None, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Invoke the function of an operation; the connections of its process are its own."""

    def invoke(operation: str, sent: dict[str, Any] | None = None, context: Any = None, **more: Any) -> dict[str, Any]:
        monkeypatch.setenv(lambda_handler.HOST_HANDLER, HOST[operation])
        given = {**(of(operation) if sent is None else sent), **more}
        answer: dict[str, Any] = lambda_handler.handler(given, context or Context())
        return answer

    return invoke


def set_mode(operation: str, mode: str, percent: float | None = None) -> None:
    flags.set_mode(operation, mode, percent, "a test", "test")


def broken(*arguments: Any, **more: Any) -> Any:
    raise LookupError("a mistake of the fast path")


def counted(operation: str, side: str) -> dict[Outcome, int]:
    """What is stored of a side's requests, by what became of them."""
    found = figures.read_all(datetime.now(UTC) - timedelta(minutes=2)).get(operation, {})
    cells = found[side].cells if side in found else {}
    return {outcome: sum(buckets.values()) for outcome, buckets in cells.items()}


@pytest.mark.parametrize("operation", sorted(HOST))
def test_both_sides_answer_the_same(operation: str, ask: Asked) -> None:
    asked = of(operation)
    legacy = ask(operation, asked)
    assert side(legacy) is None
    if operation == "cache_delete_stamps":
        world.give([Claim(OWNER, PROVIDERS[0])])
    set_mode(operation, "fast")
    fast = ask(operation, asked)
    assert side(fast) == "fast"
    assert fast["statusCode"] == legacy["statusCode"]
    assert {**fast["headers"], "X-Scorer-Path": None} == {**legacy["headers"], "X-Scorer-Path": None}
    assert shape(body(fast)) == shape(body(legacy))


def shape(value: Any) -> Any:
    """A body without its times and ids, and without what a second request finds changed."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key not in ("id", "last_score_timestamp")}
    if isinstance(value, list):
        return sorted((shape(inner) for inner in value), key=json.dumps)
    return value


@pytest.mark.parametrize("operation", sorted(HOST))
def test_the_host_answers_where_the_fast_path_fails(
    operation: str, ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mode(operation, "fast")
    monkeypatch.setitem(dialect.FUNCTIONS, operation, dialect.FUNCTIONS[operation]._replace(serve=broken))
    answer = ask(operation)
    assert (answer["statusCode"], side(answer)) == (201 if operation == "cache_add_stamps" else 200, "legacy")
    assert dict(counts(operation)) == {"fallbacks": 1}


def counts(operation: str) -> list[tuple[str, int]]:
    figures.flush()
    since = datetime.now(UTC) - timedelta(minutes=2)
    rows = state_queries.list_outcomes("default", since, since)
    return sorted((row.outcome, row.amount) for row in rows if row.operation == operation)


@pytest.mark.parametrize("operation", sorted(HOST))
def test_shadow_compares_before_it_answers(operation: str, ask: Asked) -> None:
    set_mode(operation, "shadow")
    answer = ask(operation)
    assert (answer["statusCode"], side(answer)) == (201 if operation == "cache_add_stamps" else 200, "legacy")
    assert counts(operation) == [("matched", 1)], list(Mismatch.objects.values_list("path", "kind"))
    assert sum(counted(operation, "legacy").values()) == 1


def test_shadow_compares_errors_in_the_functions_words(ask: Asked) -> None:
    set_mode("v2_score", "shadow")
    asked = of("v2_score")
    assert ask("v2_score", {**asked, "path": asked["path"].replace("/1/", "/77/")})["statusCode"] == 404
    assert ask("v2_score", {**asked, "headers": {"x-api-key": "hostKEY1.wrong"}})["statusCode"] == 401
    assert counts("v2_score") == [("matched", 2)]


def test_shadow_finds_a_mismatch(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mode("cache_weights", "shadow")
    function = dialect.FUNCTIONS["cache_weights"]
    monkeypatch.setitem(dialect.FUNCTIONS, "cache_weights", function._replace(serve=lambda request: {"Google": "2"}))
    monkeypatch.setattr(races.doubts, "lasts", lambda *_: True)
    ask("cache_weights")
    assert counts("cache_weights") == [("mismatched", 1)]


@pytest.mark.parametrize(("seconds", "found"), [(0.5, [("too_late", 1)]), (5, [("matched", 1)])])
def test_shadow_leaves_the_function_a_second(seconds: float, found: Any, ask: Asked, settings: Settings) -> None:
    set_mode("v2_score", "shadow")
    assert ask("v2_score", None, Context(seconds))["statusCode"] == 200
    assert counts("v2_score") == found


def test_shadow_looks_at_a_share(ask: Asked, settings: Settings) -> None:
    settings.SCORER_FAST = {"SHADOW_SAMPLE": 0.0}
    set_mode("v2_score", "shadow")
    assert side(ask("v2_score")) == "legacy"
    assert counts("v2_score") == []


def test_shadow_measures_the_hosts_noise(ask: Asked, settings: Settings) -> None:
    settings.SCORER_FAST = {"SHADOW_AA": True}
    set_mode("cache_weights", "shadow")
    ask("cache_weights")
    assert counts("cache_weights") == [("aa_matched", 1)]


def test_kill_switches_latches_and_the_circuit_give_back(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mode("v2_score", "fast")
    assert side(ask("v2_score")) == "fast"
    flags.kill("v2_score", reason="a test", by="test")
    assert side(ask("v2_score")) == "legacy"
    flags.release("v2_score", reason="a test", by="test")
    assert side(ask("v2_score")) == "fast"
    flags.latch("v2_score", rule="p95", value="2", limit="1", window="60 s", sample=200)
    assert side(ask("v2_score")) == "legacy"
    flags.lift("v2_score", reason="a test", by="test")
    monkeypatch.setenv(flags.ENVIRONMENT, "score")
    assert side(ask("v2_score")) == "legacy"
    monkeypatch.delenv(flags.ENVIRONMENT)
    with monkeypatch.context() as patch:
        patch.setitem(dialect.FUNCTIONS, "v2_score", dialect.FUNCTIONS["v2_score"]._replace(serve=broken))
        assert {side(ask("v2_score")) for _ in range(5)} == {"legacy"}
    assert circuit.of("v2_score").is_open
    assert side(ask("v2_score")) == "legacy"


def test_an_address_stays_on_its_side_and_a_header_chooses(ask: Asked) -> None:
    set_mode("v2_score", "split", 50)
    owners = [world.address(number) for number in range(0x100, 0x118)]
    seen = [{side(ask("v2_score", of("v2_score", owner))) for _ in range(2)} for owner in owners]
    assert all(len(sides) == 1 for sides in seen)
    assert {"fast", "legacy"} == set.union(*seen)
    asked = of("v2_score")
    for wish, answered in (("true", "fast"), ("false", "legacy")):
        sent = {**asked, "headers": {**asked["headers"], "X-Use-Fast-Scorer": wish}}
        assert side(ask("v2_score", sent)) == answered


def test_the_host_gets_the_event_as_it_came(host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.tell")
    warm_up = {"source": "a schedule", "detail": {"warm": True}}
    assert lambda_handler.handler(warm_up, Context())["got"] == warm_up
    for sent in (of("v2_score"), many(of("v2_score")), event("GET", "/health"), event("POST", "/internal/check-bans")):
        before = json.dumps(sent)
        answer = lambda_handler.handler(sent, Context())
        assert answer == {"statusCode": 299, "got": sent, "isBase64Encoded": False, "body": "ä"}
        assert json.dumps(sent) == before


@pytest.fixture
def scores_take_seconds(host: None) -> Iterator[None]:
    """The host's own trigger on its scores does."""
    sleep = "BEGIN PERFORM pg_sleep(3); RETURN NEW; END"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS '{sleep}'")
        cursor.execute("CREATE TRIGGER slow BEFORE INSERT ON registry_score FOR EACH ROW EXECUTE FUNCTION slow()")
    yield
    connection.close()  # it was cut
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION slow CASCADE")


@pytest.mark.usefixtures("scores_take_seconds")
def test_a_statement_that_does_not_end_is_answered_before_the_function_is(ask: Asked) -> None:
    """Half a second before: whoever runs the function ends it without an answer."""
    set_mode("v2_score", "fast")
    started = time.monotonic()
    answer = ask("v2_score", None, Context(2.0))
    assert (answer["statusCode"], side(answer), bool(answer["headers"]["Retry-After"])) == (503, "fast", True)
    assert time.monotonic() - started < 1.75


@pytest.mark.parametrize("form", [lambda event: event, many])
def test_what_the_host_answers_is_left_alone_but_for_the_header(
    form: Any, host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mode("v2_score", "split", 0)
    sent = form(of("v2_score"))
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.tell")
    answer = lambda_handler.handler(sent, Context())
    headers = {"X-Scorer-Path": ["legacy"]} if form is many else {"X-Scorer-Path": "legacy"}
    key = "multiValueHeaders" if form is many else "headers"
    told = {"statusCode": 299, "got": sent, "isBase64Encoded": False, "body": "ä"}
    assert answer == {**told, key: headers}
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.cookies")
    answer = lambda_handler.handler(sent, Context())
    assert answer["multiValueHeaders"] == {"Set-Cookie": ["a=1", "b=2"], "X-Scorer-Path": ["legacy"]}
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.nothing")
    assert lambda_handler.handler(sent, Context()) is None


def test_what_the_host_raises_is_raised_and_counted(host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mode("v2_score", "split", 0)
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.fail")
    with pytest.raises(LookupError, match="the host's own mistake"):
        lambda_handler.handler(of("v2_score"), Context())
    assert counted("v2_score", "legacy") == {Outcome.ERROR: 1}


def test_figures_are_stored_before_the_function_is_frozen_at_bounded_cost(ask: Asked, settings: Settings) -> None:
    set_mode("v2_score", "fast")

    def stored() -> int:
        return sum(counted("v2_score", "fast").values())

    ask("v2_score")
    assert stored() == 1  # a function's first event may be its last
    ask("v2_score")
    assert stored() == 1  # the next in FIGURES_FLUSH_SECONDS
    settings.SCORER_FAST = {"FIGURES_FLUSH_SECONDS": 0}
    ask("v2_score", None, Context(0.5))
    assert stored() == 1  # no time left
    ask("v2_score")
    assert stored() == 4


def test_a_log_line_is_written_and_names_the_invocation(ask: Asked, caplog: pytest.LogCaptureFixture) -> None:
    set_mode("v2_score", "fast")
    with caplog.at_level(logging.INFO, "scorer_fast.request"):
        ask("v2_score")
        asked = of("v2_score")
        ask("v2_score", {**asked, "headers": {**asked["headers"], "X-Request-Id": "of-the-caller"}})
    lines = [record for record in caplog.records if record.name == "scorer_fast.request"]
    assert [line.request_id for line in lines] == [Context.aws_request_id, "of-the-caller"]
    assert {(line.operation, line.status) for line in lines} == {("v2_score", 200)}


@pytest.mark.parametrize("mode", ["fast", "legacy", "shadow"])
def test_a_connection_that_died_while_the_function_was_frozen_is_replaced(
    mode: str, ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", False)
    set_mode("cache_add_stamps", mode)
    ask("cache_add_stamps")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone() == (True,)
    finally:
        other.close()
    answer = ask("cache_add_stamps")
    assert (answer["statusCode"], side(answer)) == (201, {"fast": "fast", "legacy": None, "shadow": "legacy"}[mode])
    assert not [count for count in counts("cache_add_stamps") if count[0] != "matched"]


def test_a_connection_that_died_without_a_word_is_replaced_too(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket says nothing: the first statement finds out."""
    monkeypatch.setattr("scorer_fast.lambda_handler.connections.hung_up", lambda connection: False)
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    set_mode("v2_score", "fast")
    ask("v2_score")
    connection.connection.close()
    assert side(ask("v2_score")) == "fast"


def test_with_nobody_behind_what_would_be_the_hosts_is_503(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def unaided(sent: dict[str, Any]) -> dict[str, Any]:
        monkeypatch.setenv(lambda_handler.HOST_HANDLER, "")
        answer: dict[str, Any] = lambda_handler.handler(sent, Context())
        return answer

    def is_503(answer: dict[str, Any], key: str = "error") -> bool:
        assert 1 <= int(answer["headers"]["Retry-After"]) <= 5
        return (answer["statusCode"], [*body(answer)]) == (503, [key])

    assert is_503(unaided(of("v2_score")))
    assert is_503(unaided(of("embed_score")), "detail")
    set_mode("v2_score", "fast")
    good = unaided(of("v2_score"))
    assert (good["statusCode"], side(good)) == (200, None)
    with monkeypatch.context() as patch:
        patch.setitem(dialect.FUNCTIONS, "v2_score", dialect.FUNCTIONS["v2_score"]._replace(serve=broken))
        assert is_503(unaided(of("v2_score")))
    flags.kill("all", reason="a test", by="test")
    assert is_503(unaided(of("v2_score")))
    assert unaided(event("GET", "/health"))["statusCode"] == 404
    assert unaided(event("POST", "/internal/check-bans"))["statusCode"] == 404
    assert unaided(event(headers={"User-Agent": "ELB-HealthChecker/2.0"}))["statusCode"] == 200
    assert unaided({"source": "a schedule"})["statusCode"] == 400


def test_events_come_in_every_form(ask: Asked) -> None:
    set_mode("cache_patch_stamps", "fast")
    set_mode("cache_get_stamps", "fast")
    asked = of("cache_patch_stamps")
    encoded = {**asked, "body": base64.b64encode(asked["body"].encode()).decode(), "isBase64Encoded": True}
    shouted = {**asked, "headers": {name.upper(): value for name, value in asked["headers"].items()}}
    hostless = {**asked, "headers": {name: value for name, value in asked["headers"].items() if name != "host"}}
    for sent in (encoded, shouted, hostless):
        answer = ask("cache_patch_stamps", sent)
        assert (answer["statusCode"], side(answer)) == (200, "fast")
    answer = ask("cache_patch_stamps", many(asked))
    assert answer["multiValueHeaders"]["X-Scorer-Path"] == ["fast"]
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    assert "headers" not in answer
    stamps = of("cache_get_stamps")
    written = "".join(f"%{ord(character):02X}" for character in OWNER)
    for parameters in ({"address": OWNER}, {"address": written}, {"address": OWNER.upper().replace("X", "x")}):
        answer = ask("cache_get_stamps", {**stamps, "queryStringParameters": parameters})
        assert (answer["statusCode"], side(answer), len(body(answer)["stamps"])) == (200, "fast", 4)
    score = of("v2_score")
    set_mode("v2_score", "fast")
    assert side(ask("v2_score", {**score, "path": score["path"].replace(OWNER, written)})) == "fast"


def test_a_body_that_is_not_base64_is_the_hosts(host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    set_mode("cache_add_stamps", "fast")
    sent = {**of("cache_add_stamps"), "body": "ä", "isBase64Encoded": True}
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.tell")
    assert lambda_handler.handler(sent, Context())["got"] == sent
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "")
    assert lambda_handler.handler(sent, Context())["statusCode"] == 400


@pytest.mark.parametrize(
    "sent",
    [
        {},
        [],
        "text",
        None,
        {"source": "aws.events", "detail": {}},
        {"httpMethod": "GET", "path": 5},
        {"httpMethod": "GET", "path": "/ceramic-cache/weights", "headers": ["host"]},
        {"httpMethod": "GET", "path": "/ceramic-cache/weights", "multiValueHeaders": {"host": 1}},
        {"httpMethod": "GET", "path": "/ceramic-cache/weights", "queryStringParameters": "a=b"},
        {"httpMethod": "POST", "path": "/ceramic-cache/stamps/bulk", "body": 1, "isBase64Encoded": True},
    ],
)
def test_an_event_that_is_no_load_balancers_is_the_hosts(
    sent: Any, host: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_mode("cache_weights", "fast")
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "tests.lambda_handler.small_host.tell")
    assert lambda_handler.handler(sent, Context())["got"] == sent
    monkeypatch.setenv(lambda_handler.HOST_HANDLER, "")
    answer = lambda_handler.handler(sent, Context())
    assert (answer["statusCode"], json.loads(answer["body"])) == (400, {"error": "Bad request"})


# How an event may come: what is changed in a good one of an operation, and the status that it has.
FORMS: list[tuple[str, dict[str, Any], int]] = [
    ("v2_score", {"queryStringParameters": None, "body": None}, 200),
    ("v2_score", {"path": f"/v2/stamps/%31/score/{OWNER}"}, 200),
    ("v2_score", {"path": f"/v2/stamps/one/score/{OWNER}"}, 404),
    ("v2_score", {"path": f"/v2/stamps/{'9' * 5000}/score/{OWNER}"}, 404),
    ("v2_score", {"path": "/v2/stamps/1/score/a%00b"}, 400),
    ("v2_score", {"headers": None}, 401),
    ("v2_score", {"headers": {"authorization": f"Bearer {world.API_KEY}"}}, 401),
    ("v2_score", {"headers": {"x_api_key": world.API_KEY}}, 401),
    ("v2_score", {"headers": {"X-API-Key": world.API_KEY}}, 200),
    ("embed_add_stamps", {"headers": None, "body": "{}"}, 400),
    ("embed_validate_api_key", {"headers": {}}, 400),
    ("cache_add_stamps", {"body": None}, 400),
    ("cache_add_stamps", {"body": "[NaN]"}, 400),
    ("cache_add_stamps", {"body": "[" * 5000}, 400),
    ("cache_add_stamps", {"body": '[{"provider": "\\u0000", "stamp": {}}]'}, 400),
    ("cache_add_stamps", {"body": '[{"provider": "\ud800", "stamp": {}}]'}, 400),
    ("cache_add_stamps", {"body": "//4=", "isBase64Encoded": True}, 400),
    ("cache_patch_stamps", {"body": json.dumps([{"provider": f"P{number}"} for number in range(101)])}, 422),
    ("cache_delete_stamps", {"body": "[]"}, 404),
    ("cache_get_score", {"path": "/ceramic-cache/score/anything"}, 200),
    ("cache_get_score", {"queryStringParameters": {"alternate_scorer_id": "%31"}}, 200),
    ("cache_get_score", {"queryStringParameters": {"alternate_scorer_id": "one"}}, 400),
    ("cache_calc_score", {"body": "{}"}, 200),
    ("cache_calc_score", {"body": '{"alternate_scorer_id": [1]}'}, 400),
    ("cache_get_stamps", {"queryStringParameters": None}, 400),
]


def test_what_comes_in_an_odd_form(ask: Asked) -> None:
    for operation in {name for name, _, _ in FORMS}:
        set_mode(operation, "fast")
    statuses = []
    for operation, changes, _ in FORMS:
        before = world.CeramicCache.objects.filter(deleted_at=None).count()
        answer = ask(operation, {**of(operation), **changes})
        assert side(answer) == "fast"
        statuses.append((operation, changes, answer["statusCode"]))
        assert world.CeramicCache.objects.filter(deleted_at=None).count() == before  # nothing is written by halves
    assert statuses == FORMS


def test_a_call_that_the_host_answers_after_a_fault_is_counted_once(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    from api.account.models import AccountAPIKey

    settings.RATELIMIT_ENABLE = True
    AccountAPIKey.objects.update(rate_limit="3/h")
    set_mode("v2_score", "fast")
    monkeypatch.setattr("scorer_fast.scoring.operations.v2_score", broken)
    assert [ask("v2_score")["statusCode"] for _ in range(4)] == [200, 200, 200, 429]


def test_the_request_is_the_middlewares_kind(host: None) -> None:
    """Whoever reads a request of Django's reads this one: headers, cookies, parameters, body, full path."""
    from scorer_fast.lambda_handler.events import EventRequest

    sent = many(event("post", "/a%20b", "{}"))
    sent["multiValueHeaders"] |= {"Cookie": ["a=1; b=2"], "X-Forwarded-For": ["1.1.1.1", "2.2.2.2"], "x_api_key": ["k"]}
    sent["multiValueQueryStringParameters"] = {"x": ["1", "2%203"], "y": []}
    request = EventRequest(sent)
    assert isinstance(request, HttpRequest)
    assert (request.method, request.path_info, request.body) == ("POST", "/a b", b"{}")
    assert request.headers["X-Forwarded-For"] == "1.1.1.1,2.2.2.2"
    assert "X-Api-Key" not in request.headers
    assert request.COOKIES == {"a": "1", "b": "2"}
    assert request.GET.getlist("x") == ["1", "2 3"]
    assert request.get_full_path() == "/a%20b?x=1&x=2+3"
    assert request.parameters == {"x": "2%203"}
    assert call.front_of(request).seconds_left() == float("inf")


def test_numbers_are_read_as_the_forms_read_them() -> None:
    good = [1, "1", " 1 ", "+1", 1.0, True]
    bad = [None, "", "x", "1.5", 1.5, [], {}, "9" * 5000, float("nan"), float("inf")]
    assert [dialect._integer(value) for value in good] == [1] * 6
    assert [dialect._integer(value) for value in bad] == [None] * len(bad)
    assert Decimal(dialect._integer("-3") or 0) == -3
