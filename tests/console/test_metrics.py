"""OpenTelemetry's metrics: names, bounded attributes, what they cost, and that nothing secret is in them."""

import cProfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import Client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pytest_django import Settings

from scorer_fast import metrics, otel
from scorer_fast.cutover import figures, flags, gauges, rollout
from scorer_fast.cutover.figures import Outcome
from tests.cutover.conftest import MIDDLEWARE, OWNER, SCORE
from tests.cutover.conftest import fast_path as fast_path
from tests.cutover.conftest import installed as installed

pytestmark = pytest.mark.django_db
WHO = {"reason": "a test", "by": "ann"}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    """An SDK of the test's own."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(otel, "meter", provider.get_meter("scorer_fast"))
    monkeypatch.setattr(gauges, "meter", otel.meter)
    monkeypatch.setattr(otel, "durations", otel._histogram())
    gauges.reset()
    gauges.register()
    yield reader
    provider.shutdown()


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    return {
        metric.name: list(metric.data.data_points)
        for resource in (data.resource_metrics if data else [])
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_both_sides_are_told_by_operation(
    reader: InMemoryMetricReader, installed: Settings, client: Client, fast_path: Any
) -> None:
    installed.SCORER_FAST = {"FLAGS_INLINE": True, "FLAGS_REFRESH_SECONDS": 0}
    flags.set_mode("v2_score", "split", 0, allow=[OWNER], **WHO)
    for address in (OWNER, OWNER, "0x" + "b2" * 20):
        client.get(SCORE.replace(OWNER, address))
    found = points(reader)[otel.DURATION]
    assert {tuple(sorted(point.attributes.items())): point.count for point in found} == {
        (
            ("http.request.method", "GET"),
            ("http.route", "/v2/stamps/{scorer_id}/score/{address}"),
            ("operation", "v2_score"),
            ("outcome", outcome),
            ("side", side),
            ("status_class", "2xx"),
        ): count
        for side, outcome, count in (("fast", "ok", 2), ("legacy", "ok", 1))
    }
    assert all(point.explicit_bounds == otel.SECONDS for point in found)


def test_a_fallback_has_no_status_of_its_own(
    reader: InMemoryMetricReader,
    installed: Settings,
    client: Client,
    fast_path: Callable[[Callable[[HttpRequest], HttpResponse]], None],
) -> None:
    installed.SCORER_FAST = {"FLAGS_INLINE": True, "FLAGS_REFRESH_SECONDS": 0}
    flags.set_mode("v2_score", "fast", **WHO)
    fast_path(lambda request: JsonResponse({}, status=500))
    client.get(SCORE)
    found = {point.attributes["side"]: point.attributes for point in points(reader)[otel.DURATION]}
    assert (found["fast"]["outcome"], found["fast"]["status_class"]) == ("fallback", "none")
    assert (found["legacy"]["outcome"], found["legacy"]["status_class"]) == ("stood_in", "2xx")


def test_the_gauges_are_the_true_state(reader: InMemoryMetricReader, settings: Settings) -> None:
    settings.MIDDLEWARE = [MIDDLEWARE]
    flags.set_mode("v2_score", "split", 25, **WHO)
    flags.set_mode("check_bans", "fast", **WHO)
    flags.kill("check_bans", **WHO)
    rollout.start("gtc_stake", "5,25", "1h", now=figures_now(), **WHO)
    for side, count in (("fast", 30), ("legacy", 70)):
        for _ in range(count):
            figures.record("v2_score", side, 0.01, Outcome.OK, None)
    flags.set_mode("embed_score", "fast", **WHO)
    figures.count("embed_score", "circuit_open")
    figures.flush()
    found = points(reader)

    def value(name: str, operation: str, **attributes: str) -> float:
        wanted = {"operation": operation, **attributes}
        (point,) = (each for each in found[name] if dict(each.attributes) == wanted)
        return float(point.value)

    assert value("scorer_fast.share.asked", "v2_score") == 0.25
    assert value("scorer_fast.share.measured", "v2_score") == 0.3
    assert (value("scorer_fast.killed", "check_bans"), value("scorer_fast.killed", "v2_score")) == (1.0, 0.0)
    assert (value("scorer_fast.killed", "embed_score"), value("scorer_fast.circuit.open", "embed_score")) == (0.0, 1.0)
    assert value("scorer_fast.rollout.step", "gtc_stake") == 5.0
    assert value("scorer_fast.guard.verdict", "v2_score", verdict="worse") == 0.0
    assert found["db.client.connection.count"]
    for name in ("scorer_fast.pool.threads.busy", "scorer_fast.pool.queue", "scorer_fast.shadow.queue"):
        assert [point.value for point in found[name]] == [0]


def figures_now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_nothing_of_a_request_is_in_a_metric(
    reader: InMemoryMetricReader, installed: Settings, client: Client, fast_path: Any
) -> None:
    installed.SCORER_FAST = {"FLAGS_INLINE": True, "FLAGS_REFRESH_SECONDS": 0, "MODES": {"*": "fast"}}
    headers = {"X-API-Key": "secret1.of-a-partner", "Authorization": "Bearer secret2", "Cookie": "sessionid=secret3"}
    client.get(SCORE + "?q=secret4", headers=headers)
    client.post("/internal/check-bans", b'["secret5"]', content_type="application/json", headers=headers)
    told = repr(points(reader))
    assert "secret" not in told
    assert OWNER not in told


def test_a_request_costs_some_ten_microseconds(reader: InMemoryMetricReader) -> None:
    """In calls, which are the same on every machine: a hundred of them take as long."""

    def record(times: int) -> None:
        for number in range(times):
            metrics.record("v2_score", "GET", "/v2/stamps", "fast", 0.001 * (number % 50), "ok", 200)

    record(100)
    with cProfile.Profile() as profile:
        record(100)
    calls = sum(entry.callcount for entry in profile.getstats()) / 100
    assert calls < 150
