"""The two weights operations: whose weights, as what, how old, and from which database; the last for every look-up."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections
from django.test import override_settings
from pytest_django import Settings

from api.account.models import Community
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.http.catalogue import OPERATIONS
from tests.factories import rows
from tests.factories.requests import Request, good
from tests.factories.rows import OWNER
from tests.http.unchanged import refused

pytestmark = pytest.mark.django_db
EMBED, CACHE = "/internal/embed/weights", "/ceramic-cache/weights"


@pytest.fixture(autouse=True)
def communities(one: Community) -> Community:
    """Community 1 is the configured one, 2 another."""
    rows.community(one.account, 2, {"Ens": "2.5"})
    return one


def answer(path: str) -> Any:
    response = Request("GET", path).send()
    assert response.status_code == 200, response.content
    return response.json()


def test_weights_are_floats_without_customization(communities: Community) -> None:
    written = {"Text": "0.1", "Float": 0.1, "Integer": 3, "Digits": "1.00000000000000000001", "Zero": "0", "ümlaut": 1}
    BinaryWeightedScorer.objects.update(weights=written)
    rows.customized(communities, lists={"vip": "5"}, credentials={"Custom": "7"})
    expected = {"Text": 0.1, "Float": 0.1, "Integer": 3.0, "Digits": 1.0, "Zero": 0.0, "ümlaut": 1.0}
    for path in (CACHE, EMBED, f"{EMBED}?community_id=1"):
        found = answer(path)
        assert found == expected
        assert {type(weight) for weight in found.values()} == {float}


@pytest.mark.parametrize("asked", ["2", "+2", "%202%20", "02", "0_2", "1&community_id=2"])
def test_weights_of_a_community_however_its_number_is_written(asked: str) -> None:
    assert answer(f"{EMBED}?community_id={asked}") == {"Ens": 2.5}


@pytest.mark.parametrize("query", ["", "?", "?community_id=", "?community_id", "?other=2"])
def test_weights_of_the_configured_community(query: str, settings: Settings) -> None:
    for configured in (2, "2", " 2 "):
        settings.CERAMIC_CACHE_SCORER_ID = configured
        assert answer(EMBED + query) == answer(CACHE) == {"Ens": 2.5}


@pytest.mark.parametrize("configured", ["", None, "none", "1.5", 999, "999", 2**63, "9" * 40, -1, 0])
def test_a_configured_community_that_is_none(configured: Any, settings: Settings) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = configured
    for path in (EMBED, CACHE):
        refused(Request("GET", path), 404)
    assert answer(f"{EMBED}?community_id=2") == {"Ens": 2.5}


def test_a_setting_that_is_not_there(settings: Settings) -> None:
    del settings.CERAMIC_CACHE_SCORER_ID
    refused(Request("GET", CACHE), 404)


@pytest.mark.django_db(transaction=True)  # nothing is remembered of a transaction that may be rolled back
def test_weights_are_remembered_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("scorer_fast.lookups.weights.time", SimpleNamespace(monotonic=lambda: clock[0]))
    before = answer(CACHE)
    BinaryWeightedScorer.objects.filter(pk=Community.objects.get(pk=1).scorer_id).update(weights={"New": 1})
    clock[0] += 59.9
    assert answer(CACHE) == answer(EMBED) == before
    clock[0] += 0.1
    assert answer(CACHE) == answer(EMBED) == {"New": 1.0}


@pytest.mark.django_db(transaction=True)  # nothing is remembered of a transaction that may be rolled back
@pytest.mark.parametrize("seconds", [3600, 60])
def test_no_setting_makes_it_more_than_a_minute(
    seconds: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "WEIGHTS_CACHE_SECONDS": seconds}
    test_weights_are_remembered_for_a_minute_at_most(monkeypatch)


@pytest.mark.django_db(transaction=True)  # nothing is remembered of a transaction that may be rolled back
def test_a_changed_setting_drops_what_is_remembered() -> None:
    before = answer(CACHE)
    BinaryWeightedScorer.objects.all().update(weights={"New": 1})
    assert answer(CACHE) == before
    with override_settings(FF_API_ANALYTICS="off"):
        assert answer(CACHE) == {"New": 1.0}
        BinaryWeightedScorer.objects.all().update(weights={"Newer": 1})
        assert answer(CACHE) == {"New": 1.0}
    assert answer(CACHE) == {"Newer": 1.0}


def test_an_unknown_community_is_not_remembered(communities: Community) -> None:
    refused(Request("GET", f"{EMBED}?community_id=3"), 404)
    rows.community(communities.account, 3, {"Ens": "1"})
    assert answer(f"{EMBED}?community_id=3") == {"Ens": 1.0}


class Aliases:
    """Stands for ``django.db.connections``: every alias is the test's database, and is noted."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getitem__(self, alias: str) -> Any:
        self.asked.append(alias)
        return connections["default"]


LOOK_UPS = {
    "embed_weights": ["replica"],
    "embed_config": ["replica"],
    "cache_weights": ["replica"],
    "check_bans": ["replica"],
    "check_revocations": ["replica"],
    "allow_list": ["replica"],
    "credential_definition": ["replica"],
    "gtc_stake": ["replica"],
    "legacy_gtc_stake": ["replica"],
    "contributor_statistics": ["replica"],
    "embed_validate_api_key": ["default"],  # a key revoked just now is refused
}


def test_every_look_up_is_among_them() -> None:
    assert set(LOOK_UPS) == {operation.id for operation in OPERATIONS if not operation.writes}


@pytest.mark.parametrize("operation", LOOK_UPS)
def test_where_look_ups_read_in_one_statement(
    operation: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.ruleset("Custom", {})
    rows.stamps(OWNER, "Google")
    settings.REGISTRY_API_READ_DB = "replica"
    aliases = Aliases()
    monkeypatch.setattr("scorer_fast.db.connection.connections", aliases)
    monkeypatch.setattr("scorer_fast.db.watchdog.connections", Aliases())
    monkeypatch.setattr("scorer_fast.lookups.weights.in_transaction", lambda alias: False)
    assert good(operation).send().status_code == 200
    assert aliases.asked == LOOK_UPS[operation]
