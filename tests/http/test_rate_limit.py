"""The rate limit of a key: one budget over both sides, counted in the host's cache."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import RequestFactory
from django_ratelimit import ALL
from django_ratelimit.core import get_usage, is_ratelimited
from pytest_django import Settings

from api.account.models import Community
from scorer_fast import outages
from scorer_fast.http import rate_limit
from scorer_fast.lookups.api_key_queries import ApiKeyRow, get_api_key
from tests.factories import rows
from tests.factories.requests import Request, good, key
from tests.factories.rows import OWNER
from tests.http.unchanged import refused

pytestmark = pytest.mark.django_db
LIMITED = "limited1.secret"


class DownCache(LocMemCache):
    """A cache whose server has gone away."""

    def _gone(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("the cache is gone")

    add = get = set = incr = touch = delete = get_many = _gone  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def limited(one: Community, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "_said", {})
    settings.RATELIMIT_ENABLE = True
    rows.api_key(one.account, LIMITED, rate_limit="3/15m")


def ask(api_key: str = LIMITED, scorer: int = 1) -> Request:
    return Request("GET", f"/v2/stamps/{scorer}/score/{OWNER}", headers=key(api_key))


def statuses(count: int, **options: Any) -> list[int]:
    return [ask(**options).send().status_code for _ in range(count)]


def host_counts(prefix: str = "limited1", rate: str = "3/15m") -> bool:
    """One call as the host counts it."""
    return bool(
        is_ratelimited(
            RequestFactory().get("/"),
            group="registry",
            key=lambda group, request: prefix,
            rate=rate,
            method=ALL,
            increment=True,
        )
    )


def test_over_the_limit() -> None:
    assert statuses(5) == [200, 200, 200, 429, 429]
    refused(ask(), 429, "You have been rate limited!")


def test_one_budget_with_the_host() -> None:
    """Whichever side a call is counted on, the other knows."""
    assert statuses(1) == [200]
    assert host_counts() is False
    assert statuses(2) == [200, 429]
    assert host_counts() is True


def test_calls_that_fail_are_counted_too() -> None:
    assert statuses(3, scorer=999) == [404, 404, 404]
    assert statuses(1) == [429]


def test_wrong_keys_and_unparsed_calls_are_not_counted() -> None:
    assert statuses(5, api_key="limited1.wrong") == [401] * 5
    assert [ask().with_(path=f"/v2/stamps/one/score/{OWNER}").send().status_code for _ in range(5)] == [422] * 5
    assert statuses(3) == [200, 200, 200]


def test_every_key_has_its_own_budget(one: Community) -> None:
    rows.api_key(one.account, "limited2.secret", rate_limit="1/15m")
    assert statuses(2, api_key="limited2.secret") == [200, 429]
    assert statuses(4) == [200, 200, 200, 429]


@pytest.mark.parametrize("limit", ["", None])
def test_no_limit(limit: str | None, one: Community) -> None:
    rows.api_key(one.account, "free0001.secret", rate_limit=limit)
    assert statuses(10, api_key="free0001.secret") == [200] * 10


@pytest.mark.parametrize("rate", ["0/s", "0/m"])
def test_a_limit_of_nothing(rate: str, one: Community) -> None:
    rows.api_key(one.account, "never001.secret", rate_limit=rate)
    assert statuses(2, api_key="never001.secret") == [429, 429]


def test_off_unless_enabled(settings: Settings) -> None:
    settings.RATELIMIT_ENABLE = False
    assert statuses(6) == [200] * 6


def test_on_unless_the_setting_says_so(settings: Settings) -> None:
    del settings.RATELIMIT_ENABLE
    assert statuses(4) == [200, 200, 200, 429]


def test_other_operations_have_no_limit() -> None:
    request = good("embed_validate_api_key").header("X-API-Key", LIMITED)
    assert [request.send().status_code for _ in range(6)] == [200] * 6
    assert statuses(1) == [200]


def test_a_cache_that_is_down_lets_requests_through(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.DownCache"}}
    with caplog.at_level(logging.WARNING, "scorer_fast"):
        assert statuses(5) == [200] * 5
    (message,) = {record.message for record in caplog.records}  # one line a second
    assert message == "the rate limit could not be counted (ConnectionError)"
    assert LIMITED not in caplog.text.replace("limited1", "")


class HangingCache(LocMemCache):
    """A cache whose server does not answer."""

    asked = 0

    def _hang(self, *args: Any, **kwargs: Any) -> Any:
        type(self).asked += 1
        time.sleep(1.5)
        raise ConnectionError("no answer")

    add = get = set = incr = touch = delete = get_many = _hang  # type: ignore[assignment]


def test_a_cache_that_hangs_is_waited_for_shortly_and_then_left_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_cache", rate_limit._Cache())
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.HangingCache"}}
    asked = key_of(LIMITED)
    started = time.monotonic()
    for _ in range(50):
        assert not rate_limit._is_over(RequestFactory().get("/"), asked)
    assert time.monotonic() - started < 0.5
    assert HangingCache.asked == 1
    (line,) = [record for record in caplog.records if record.name == "scorer_fast"]
    assert line.message == "the rate limit could not be counted (TimeoutError)"


def test_a_cache_that_never_answers_is_asked_more_and_more_rarely_and_counts_again_once_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host's cache without a time-out: every question leaves a thread and a connection behind."""
    now, asked, speaks, ended = [1000.0], [0], threading.Event(), threading.Semaphore(0)
    monkeypatch.setattr(rate_limit, "_cache", rate_limit._Cache())
    monkeypatch.setattr(rate_limit, "_AT_HAND", ())
    monkeypatch.setattr(rate_limit, "CACHE_SECONDS", 0.01)
    monkeypatch.setattr(rate_limit, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def ask() -> str:
        asked[0] += 1
        speaks.wait(10)
        ended.release()
        return "counted"

    for _ in range(400):
        with pytest.raises(TimeoutError):
            rate_limit._bounded(ask)
        now[0] += 0.25
    assert 8 <= asked[0] <= 20, "100 seconds"
    assert rate_limit._cache.left == asked[0]
    speaks.set()
    for _ in range(asked[0]):
        ended.acquire(timeout=10)
    now[0] += 20
    monkeypatch.setattr(rate_limit, "CACHE_SECONDS", 5)
    assert [rate_limit._bounded(ask) for _ in range(3)] == ["counted"] * 3


def key_of(api_key: str) -> ApiKeyRow:
    row = get_api_key("default", api_key.partition(".")[0])
    assert row is not None
    return row


@pytest.mark.parametrize("rate", ["often", "x", "5", "/m", "5 / m", "5/0m", "1.5/m", "os.getcwd", "-1/m"])
def test_a_rate_nobody_can_read_lets_requests_through_and_is_told_once(
    rate: str, one: Community, caplog: pytest.LogCaptureFixture
) -> None:
    rate_limit._tell_unreadable.cache_clear()
    rows.api_key(one.account, "garbled1.secret", rate_limit=rate)
    assert statuses(3, api_key="garbled1.secret") == [200] * 3
    (line,) = [record for record in caplog.records if record.name == "scorer_fast"]
    assert (line.prefix, line.levelname) == ("garbled1", "ERROR")  # type: ignore[attr-defined]


def test_the_library_is_asked_as_the_host_asks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def spying(request: Any, group: Any, **options: Any) -> None:
        asked.update(options, group=group, key=options["key"](group, request))

    monkeypatch.setattr("django_ratelimit.core.get_usage", spying)
    assert statuses(1) == [200]
    expected = {"group": "registry", "key": "limited1", "rate": "3/15m", "method": ALL, "increment": True}
    assert asked == expected


def test_the_cache_of_the_setting_is_used(settings: Settings) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "one"},
        "limits": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "two"},
    }
    settings.RATELIMIT_USE_CACHE = "limits"
    assert statuses(4) == [200, 200, 200, 429]
    caches["default"].clear()
    assert statuses(1) == [429]
    caches["limits"].clear()
    assert statuses(1) == [200]
    usage = get_usage(
        RequestFactory().get("/"), group="registry", key=lambda g, r: "limited1", rate="3/15m", method=ALL
    )
    assert usage["count"] == 1


def test_as_many_calls_ask_at_once_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that found no thread would not be counted."""
    monkeypatch.setattr(rate_limit, "_cache", rate_limit._Cache())
    monkeypatch.setattr(rate_limit, "_AT_HAND", ())
    monkeypatch.setattr(rate_limit, "CACHE_SECONDS", 30)
    together = threading.Barrier(100)
    with ThreadPoolExecutor(100) as callers:
        places = list(callers.map(lambda _: rate_limit._bounded(lambda: together.wait(30)), range(100)))
    assert sorted(places) == list(range(100))
