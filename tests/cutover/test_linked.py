"""An address that is linked to others is the host's to score: handed over unread and uncounted, and nobody's fault."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import Score
from scorer_fast import linked
from scorer_fast.cutover import circuit, figures
from scorer_fast.cutover.dispatch import HEADER
from scorer_fast.cutover.figures import Outcome
from scorer_fast.http.catalogue import OPERATIONS
from tests.factories import rows
from tests.factories.requests import good
from tests.guards.statements import sent
from tests.host import world

from .conftest import MIDDLEWARE

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = rows.RIVAL
ALWAYS = [one.id for one in OPERATIONS if one.writes and not one.stored_first]
WHEN_NEEDED = [one.id for one in OPERATIONS if one.stored_first]
LOOK_UPS = [one.id for one in OPERATIONS if not one.writes and one.id != "credential_definition"]
FLAGS = {"READ_FLAGS"}  # who answers is looked up before
asked: list[str] = []


def several(address: str) -> list[str]:
    asked.append(address)
    return [address, OTHER]


def alone(address: str) -> list[str]:
    asked.append(address)
    return [address.upper().replace("0X", "0x")]


async def several_at_once(address: str) -> list[str]:
    return [address, OTHER]


async def alone_at_once(address: str) -> set[str]:
    asked.append(address)
    return {address}


async def alone_after_a_while(address: str) -> list[str]:
    await asyncio.sleep(0.01)
    return [address]


async def alone_in_a_thread(address: str) -> list[str]:
    return await sync_to_async(alone)(address)


def broken(address: str) -> list[str]:
    raise LookupError(address)


HANDED_OVER: list[Callable[[str], Any]] = [several, several_at_once, alone_after_a_while, alone_in_a_thread, broken]


def path_of(function: Callable[[str], Any]) -> str:
    return f"{__name__}.{function.__name__}"


@pytest.fixture(autouse=True)
def world_of_one(settings: Settings) -> Community:
    """The slow host with the one line in MIDDLEWARE, everything fast; an address with a stamp."""
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.ROOT_URLCONF = "tests.host.urls"
    settings.MIDDLEWARE = [MIDDLEWARE]
    settings.RATELIMIT_ENABLE = True
    asked.clear()
    linked_by(settings, "")
    community = rows.world_of_one()
    rows.stamps(rows.OWNER, "Google")
    return community


def linked_by(settings: Settings, path: str, **more: Any) -> None:
    settings.SCORER_FAST = {"BACKGROUND": False, "MODES": {"*": "fast"}, "LINKED_ADDRESSES": path, **more}


def send(operation: str) -> HttpResponse:
    return good(operation).send(Client())


@pytest.mark.parametrize("operation", ALWAYS)
@pytest.mark.parametrize("function", HANDED_OVER, ids=lambda function: function.__name__)
def test_the_host_scores_what_is_linked(
    operation: str, function: Callable[[str], Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked_by(settings, path_of(function))
    counted: list[tuple[str, str]] = []
    monkeypatch.setattr(figures, "count", lambda operation, what, *more: counted.append((operation, what)))
    recorded: list[tuple[str, Outcome]] = []
    monkeypatch.setattr(figures, "record", lambda _, side, seconds, outcome, *more: recorded.append((side, outcome)))
    with sent() as statements:
        response = send(operation)
    assert response.status_code in (200, 201), response.content
    assert response.headers[HEADER] == "legacy; linked"
    assert (operation, "linked") in counted
    assert recorded == [("fast", Outcome.HANDED_OVER), ("legacy", Outcome.STOOD_IN)], "nothing that is compared"
    assert {name for name in statements if name.isupper() and "_" in name} <= FLAGS, "nothing of ours was asked"
    assert circuit.of(operation).admit() is circuit.Admission.REGULAR


@pytest.mark.parametrize("operation", [*ALWAYS, *WHEN_NEEDED])
@pytest.mark.parametrize("function", [alone, alone_at_once], ids=lambda function: function.__name__)
def test_who_stands_alone_is_scored_here(operation: str, function: Callable[[str], Any], settings: Settings) -> None:
    linked_by(settings, path_of(function))
    assert send(operation).headers[HEADER] == "fast"
    assert asked == [rows.OWNER], "once, lower-cased"


@pytest.mark.parametrize("operation", WHEN_NEEDED)
def test_what_is_stored_is_answered_without_asking(operation: str, settings: Settings) -> None:
    linked_by(settings, path_of(several))
    first = send(operation)
    assert first.headers[HEADER] == "legacy; linked"
    assert Score.objects.count() == 1
    asked.clear()
    stored = send(operation)
    assert (stored.status_code, stored.headers[HEADER], asked) == (200, "fast", [])


@pytest.mark.parametrize("operation", LOOK_UPS)
def test_look_ups_ask_nobody(operation: str, settings: Settings) -> None:
    linked_by(settings, path_of(several))
    assert send(operation).headers[HEADER] == "fast"
    assert asked == []


def test_the_rate_limit_counts_such_a_request_once(world_of_one: Community, settings: Settings) -> None:
    linked_by(settings, path_of(several))
    rows.api_key(world_of_one.account, "limited1.secret", rate_limit="2/1m")
    request = good("v2_score").header("X-API-Key", "limited1.secret")
    cache.clear()
    assert [request.send(Client()).status_code for _ in range(3)] == [200, 200, 429]


def test_its_log_line_says_so(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    linked_by(settings, path_of(several))
    with caplog.at_level(logging.INFO, "scorer_fast.request"):
        send("v2_score")
    lines = [record.__dict__ for record in caplog.records if record.name == "scorer_fast.request"]
    assert [(line["side"], line["outcome"]) for line in lines] == [("fast", "linked"), ("legacy", "stood_in")]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_shadow_does_not_compare_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    linked_by(settings, path_of(several), MODES={"*": "shadow"})
    counted: list[str] = []
    monkeypatch.setattr(figures, "count", lambda operation, what, *more: counted.append(what))
    assert send("v2_score").status_code == 200
    assert counted == ["linked"]


def test_nobody_is_asked_at_an_older_revision(settings: Settings) -> None:
    linked_by(settings, path_of(several), CONTRACT="2025-12")
    assert send("v2_score").headers[HEADER] == "fast"
    assert asked == []


@pytest.mark.parametrize("operation", [*ALWAYS, *WHEN_NEEDED])
def test_where_nobody_stands_behind_it_is_a_503(operation: str, settings: Settings) -> None:
    settings.ROOT_URLCONF, settings.MIDDLEWARE = "settings.urls", []
    linked_by(settings, path_of(several))
    stamps = CeramicCache.objects.count()
    response = send(operation)
    assert (response.status_code, "linked" in response.json()["detail"]) == (503, True)
    assert response.headers["Retry-After"]
    assert (Score.objects.count(), CeramicCache.objects.count()) == (0, stamps)


def test_a_function_that_is_not_there(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    linked_by(settings, f"{__name__}.nowhere")
    assert send("v2_score").headers[HEADER] == "legacy; linked"
    assert "LINKED_ADDRESSES could not say: ImportError" in caplog.text


def test_the_hosts_own_function_is_found_beside_its_models(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    import sys
    from types import ModuleType

    assert linked.named("") is None
    module = ModuleType("api.account.linkage")
    module.get_linked_addresses = several_at_once  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "api.account.linkage", module)
    linked_by(settings, "")
    assert linked.named("") is several_at_once
    assert send("v2_score").headers[HEADER] == "legacy; linked"
    monkeypatch.undo()
    linked.named.cache_clear()
