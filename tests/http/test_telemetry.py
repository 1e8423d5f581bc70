"""Spans, counters and the one log line of a request: the same on all operations, and no secret in any."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pytest_django import Settings

from api.account.models import Community
from api.demo_issuer import Claim
from scorer_fast import otel
from scorer_fast.errors import VerifierDown
from scorer_fast.http.catalogue import OPERATIONS
from scorer_fast.scoring import service as scoring
from scorer_fast.scoring import write
from tests.factories import rows
from tests.factories.requests import GOOD_STATUS, Request, good, subject
from tests.factories.rows import OWNER
from tests.host import world

pytestmark = pytest.mark.django_db
IDS = [operation.id for operation in OPERATIONS]
SPANS = InMemorySpanExporter()
READERS: list[InMemoryMetricReader] = []


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The SDK in memory, behind this app's tracer and counters, whatever else the process has set up."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SPANS))
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("scorer_fast")
    monkeypatch.setattr(otel, "tracer", provider.get_tracer("scorer_fast"))
    monkeypatch.setattr(
        otel,
        "counters",
        {name: meter.create_counter(f"scorer_fast.{name}") for name in otel.COUNTERS},
    )
    READERS[:] = [reader]
    SPANS.clear()
    yield
    SPANS.clear()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def counted() -> dict[str, int]:
    """Every counter that moved, by its name."""
    data = READERS[0].get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name.removeprefix("scorer_fast."): sum(point.value for point in metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def spans() -> dict[str, Any]:
    """The finished spans by their names without the prefix."""
    found = SPANS.get_finished_spans()
    return {span.name.removeprefix("scorer_fast."): span for span in found}


def line(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    (record,) = [record for record in caplog.records if record.name == "scorer_fast.request"]
    return record


FAMILIES = {
    "v2_score": ["auth", "read", "verify", "decide", "write"],
    "internal_score": ["read", "verify", "decide", "write"],
    "embed_add_stamps": ["read", "verify", "decide", "write"],
    "cache_add_stamps": ["auth", "read", "verify", "decide", "write"],
    "cache_get_score": ["auth", "read", "verify", "decide", "write"],
    "check_bans": ["read"],
    "gtc_stake": ["read"],
    "contributor_statistics": ["read"],
    "embed_weights": ["read"],
    "embed_validate_api_key": ["auth"],
}


@pytest.mark.parametrize("operation", FAMILIES)
def test_the_spans_of_a_request(operation: str, one: Community) -> None:
    rows.stamps(OWNER, "Ens")
    assert good(operation).send().status_code == GOOD_STATUS.get(operation, 200)
    found = spans()
    root = found.pop(operation)
    assert list(found) == FAMILIES[operation]
    assert root.kind is SpanKind.SERVER
    assert root.parent is None
    assert root.status.status_code is StatusCode.UNSET
    for child in found.values():
        assert child.parent.span_id == root.context.span_id
        assert root.start_time <= child.start_time <= child.end_time <= root.end_time
    assert root.attributes["operation"] == operation
    assert root.attributes["status"] == GOOD_STATUS.get(operation, 200)


def test_what_a_scoring_says_of_itself(one: Community, log: pytest.LogCaptureFixture) -> None:
    rows.stamps(OWNER, "Ens", "Google")
    rows.link("v0:theirs", rows.RIVAL)
    rows.stamps(OWNER, "Github", nullifiers=["v0:theirs"])
    rows.stamps(OWNER, "Expired", expires=rows.PAST)
    rows.stored(OWNER, "Broken", {"issuer": rows.world.ISSUERS["eip712"]})
    good("v2_score").send()
    expected = {
        "address": OWNER,
        "scorer_id": 1,
        "stamp_count": 5,
        "valid_count": 3,
        "deduped_count": 1,
        "outcome": "answered",
        "status": 200,
        "operation": "v2_score",
    }
    attributes = dict(spans()["v2_score"].attributes)
    assert expected.items() <= attributes.items()
    record = line(log)
    assert expected.items() <= vars(record).items()
    for step in ("auth", "read", "verify", "decide", "write"):
        assert attributes[f"{step}_ms"] >= 0
    assert attributes["duration_ms"] >= attributes["write_ms"]


ABOUT_NO_ADDRESS = {
    "embed_validate_api_key",
    "embed_weights",
    "embed_config",
    "cache_weights",
    "check_revocations",
    "credential_definition",
}
SCORED = {
    *("v2_score", "internal_score", "embed_score", "embed_add_stamps", "cache_add_stamps", "cache_patch_stamps"),
    *("cache_delete_stamps", "cache_get_score", "cache_calc_score", "cache_get_stamps", "embed_weights"),
    "embed_config",
    "cache_weights",
}


@pytest.mark.parametrize("operation", IDS)
def test_whom_a_request_is_about(operation: str, one: Community, log: pytest.LogCaptureFixture) -> None:
    rows.stamps(OWNER, "Google")
    rows.ruleset("Custom", {})
    expected = {"operation": operation, "outcome": "answered"}
    if operation not in ABOUT_NO_ADDRESS:
        expected["address"] = OWNER
    if operation in SCORED:
        expected["scorer_id"] = 1
    for _ in range(2):  # a first score, and one that is stored
        if operation != "cache_delete_stamps" or not SPANS.get_finished_spans():
            log.clear()
            good(operation).send()
    if operation == "cache_get_score":
        expected["outcome"] = "stored"
    assert expected.items() <= dict(spans()[operation].attributes).items()
    said = vars(line(log))
    assert expected.items() <= said.items()
    assert ("address" in said, "scorer_id" in said) == ("address" in expected, "scorer_id" in expected)


@pytest.mark.parametrize(
    "request_",
    [
        good("v2_score").with_(path=f"/v2/stamps/999/score/{OWNER}"),
        good("embed_add_stamps").with_(body={"scorer_id": 1, "stamps": [{}]}),
        good("cache_add_stamps").with_(body=[{"provider": "Google", "stamp": {}}]),
        good("cache_delete_stamps"),
    ],
)
def test_a_refusal_says_whom_it_was_about(request_: Request, one: Community, log: pytest.LogCaptureFixture) -> None:
    assert request_.send().status_code in (404, 422)
    assert (line(log).address, line(log).outcome) == (OWNER, "refused")


def test_what_is_no_address_is_not_called_one(one: Community, log: pytest.LogCaptureFixture) -> None:
    path = good("allow_list").path.replace(OWNER, "no-address-but-a-secret")
    for request in (
        good("allow_list").with_(path=path),
        good("check_bans").with_(body=[subject(id="did:no-address-but-a-secret")]),
        good("gtc_stake").with_(path="/internal/stake/gtc/no-address-but-a-secret"),
    ):
        log.clear()
        request.send()
        assert not hasattr(line(log), "address")
        assert "secret" not in repr(vars(line(log)))


@pytest.mark.parametrize("operation", IDS)
def test_one_log_line_per_request(operation: str, one: Community, log: pytest.LogCaptureFixture) -> None:
    rows.stamps(OWNER, "Google")
    rows.ruleset("Custom", {})
    request = good(operation).header("X-Request-ID", "trace-1/a:b")
    status = request.send().status_code
    record = line(log)
    assert (record.operation, record.status, record.request_id) == (operation, status, "trace-1/a:b")
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        f"operation={operation} status={record.status} duration_ms={record.duration_ms} outcome={record.outcome} "
        f"request_id={record.request_id}"
    )
    assert record.outcome == "answered"
    assert spans()[operation].attributes["request_id"] == "trace-1/a:b"


@pytest.mark.parametrize(
    "given", [None, "", "two words", "x" * 129, "new\nline", "\x00", "ünï", "<script>", "a;b", '"']
)
def test_a_request_id_that_is_no_harmless_text_is_replaced(
    given: str | None, one: Community, log: pytest.LogCaptureFixture
) -> None:
    good("cache_weights").header("X-Request-ID", given).send()
    assert re.fullmatch(r"[0-9a-f]{32}", line(log).request_id)


@pytest.mark.parametrize(
    ("request_", "status", "outcome"),
    [
        (good("v2_score").with_(headers={}), 401, "refused"),
        (good("internal_score").with_(path="/internal/score/v2/1/nobody"), 400, "refused"),
        (good("internal_score").with_(path="/internal/score/v2/one/x"), 422, "refused"),
    ],
)
def test_a_refusal_is_no_error_of_the_span(
    request_: Request, status: int, outcome: str, one: Community, log: pytest.LogCaptureFixture
) -> None:
    assert request_.send().status_code == status
    record = line(log)
    assert (record.status, record.outcome) == (status, outcome)
    (root,) = [span for span in SPANS.get_finished_spans() if span.kind is SpanKind.SERVER]
    assert root.status.status_code is StatusCode.UNSET


def test_an_exception_is_an_error_of_step_and_request(
    one: Community, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("with a secret in it")

    monkeypatch.setattr("scorer_fast.scoring.service.write_plan", broken)
    with pytest.raises(ZeroDivisionError):
        good("internal_score").send()
    found = spans()
    for name in ("internal_score", "write"):
        assert found[name].status.status_code is StatusCode.ERROR
        assert found[name].status.description == "ZeroDivisionError"
    assert found["read"].status.status_code is StatusCode.UNSET
    assert (line(log).outcome, line(log).status) == ("exception", None)


def test_an_outage_is_in_the_line_as_it_is_answered(
    one: Community, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*args: Any, **kwargs: Any) -> None:
        raise VerifierDown

    monkeypatch.setattr("scorer_fast.scoring.verify.verifier.verify", down)
    rows.stamps(OWNER, "Google")
    response = good("internal_score").send()
    assert response.status_code == 503
    assert 1 <= int(response["Retry-After"]) <= 5
    assert (line(log).outcome, line(log).status) == ("failed", 503)
    (warning,) = [record for record in log.records if record.name == "scorer_fast.outages"]
    assert (warning.levelno, warning.request_id) == (logging.WARNING, line(log).request_id)
    root = spans()["internal_score"]
    assert (root.status.status_code, root.attributes["status"]) == (StatusCode.ERROR, 503)
    assert spans()["verify"].status.description == "VerifierDown"


def test_counters_of_signatures(one: Community) -> None:
    rows.stamps(OWNER, "Ens", "Google")
    rows.stored(OWNER, "Bad", rows.world.sign_credentials([Claim(OWNER, "Bad")])[0] | {"type": ["Other"]})
    rows.stored(OWNER, "Broken", {"issuer": rows.world.ISSUERS["eip712"]})
    good("internal_score").send()
    assert counted() == {"signatures.verified": 2, "signatures.rejected": 1, "stamps.unreadable": 1}
    good("internal_score").send()
    assert counted() == {
        "signatures.verified": 2,
        "signatures.rejected": 2,
        "signatures.remembered": 2,
        "stamps.unreadable": 2,
    }


@pytest.mark.django_db(transaction=True)  # what happens between read and write must outlive the attempt
def test_counters_of_lost_claims_and_retries(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write.write
    world.give([Claim(OWNER, "Ens", ["v0:shared"])])
    plans: list[Any] = []

    def late(run: Any, plan: Any, checked: Any) -> Any:
        plans.append(plan)
        if len(plans) == 1:
            rows.link("v0:shared", rows.RIVAL)
        return real(run, plan, checked)

    monkeypatch.setattr(scoring, "write_plan", late)
    answer = good("internal_score").send().json()
    assert answer["stamps"]["Ens"]["dedup"] is True
    moved = counted()
    assert (moved["claims.lost"], moved["writes.retried"]) == (1, 1)


SECRETS = {
    "an API key": rows.API_KEY.partition(".")[2],
    "the internal token": rows.INTERNAL_TOKEN,
    "a cookie": "session-cookie-value",
    "a password in the query": "query-secret-value",
}


@pytest.mark.parametrize("operation", IDS)
@pytest.mark.parametrize("fault", [None, "bad address", "wrong credentials", "broken"])
def test_no_secret_in_any_record_span_or_counter(
    operation: str,
    fault: str | None,
    one: Community,
    log: pytest.LogCaptureFixture,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.FF_API_ANALYTICS = "on"
    request = good(operation)
    token = request.headers.get("Authorization", "Bearer none").partition(" ")[2]
    if fault == "bad address":
        request = request.with_(path=request.path.replace(OWNER, "nobody"))
    if fault == "wrong credentials":
        headers = {name: value + "-wrong-secret-value" for name, value in request.headers.items()}
        request = request.with_(headers=headers)
    if fault == "broken":
        for place in ("scorer_fast.db.connection.connections", "scorer_fast.http.analytics.insert_analytics"):
            monkeypatch.setattr(place, None)
    path = request.path + ("&" if "?" in request.path else "?") + "password=query-secret-value"
    request = request.with_(path=path).header("Cookie", "s=session-cookie-value")
    with suppress(TypeError) if fault == "broken" else nullcontext():  # None has no connection and is no function
        request.send()
    own = [record for record in log.records if record.name.startswith("scorer_fast")]
    assert own
    said = json.dumps([{**vars(record), "message": record.getMessage()} for record in own], default=repr)
    said += json.dumps(
        [(span.name, dict(span.attributes), span.status.description) for span in SPANS.get_finished_spans()]
    )
    said += json.dumps(
        [[event.name, dict(event.attributes)] for span in SPANS.get_finished_spans() for event in span.events]
    )
    said += json.dumps(counted())
    secrets = {**SECRETS, "an access token": token, "a wrong one": "wrong-secret-value"}
    found = [name for name, secret in secrets.items() if secret and secret != "none" and secret in said]
    assert not found


WITHOUT = """
import sys
class NoSdk:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("opentelemetry.sdk"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoSdk())
import django
django.setup()
from django.test import RequestFactory
from scorer_fast import otel, telemetry
before = set(sys.modules)
request = RequestFactory().get("/")
with telemetry.operation("v2_score", request) as running:
    with telemetry.step("read"):
        telemetry.count("signatures.verified", 3)
        telemetry.note(address="0x")
    running.status = 200
late = {name for name in set(sys.modules) - before if name.startswith("opentelemetry")}
assert not late, late
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
"""


def test_without_an_sdk_nothing_happens_and_nothing_is_imported_late() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_contract_wants_counted() -> None:
    assert set(otel.COUNTERS) >= {
        "signatures.verified",
        "signatures.remembered",
        "signatures.rejected",
        "claims.lost",
        "writes.retried",
    }
