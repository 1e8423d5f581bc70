"""Which revision of the host a process follows, why, and what is there in each."""

from types import SimpleNamespace

import pytest
from django.test import Client
from pytest_django import Settings

from api.account.models import Community
from scorer_fast import revision
from scorer_fast.http.catalogue import BY_ID, find
from tests.factories import rows
from tests.factories.requests import good
from tests.host import world

LATER = [operation for operation in BY_ID.values() if operation.since != revision.OLDEST.name]


def follow(settings: Settings, contract: str) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, "CONTRACT": contract}


@pytest.mark.parametrize("name", revision.BY_NAME)
def test_it_is_the_one_that_is_named(settings: Settings, name: str) -> None:
    follow(settings, name)
    assert revision.current().name == name
    assert revision.found().why == 'SCORER_FAST["CONTRACT"] says so'


def test_it_is_found_out_by_the_hosts_model(settings: Settings) -> None:
    follow(settings, "auto")
    assert revision.found() == (revision.NEWEST, "the model account.WalletGroupCommunityClaim is installed")


def test_or_by_its_setting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "has_model", lambda label: False)
    follow(settings, "auto")
    assert revision.found() == (revision.NEWEST, "the settings name HUMAN_POINTS_WRITE_ENABLED")
    monkeypatch.setattr(revision, "settings", SimpleNamespace())
    follow(settings, "auto")
    assert revision.found() == (
        revision.OLDEST,
        "there is neither the model account.WalletGroupCommunityClaim nor the setting HUMAN_POINTS_WRITE_ENABLED",
    )


def test_names_sort_by_age() -> None:
    assert list(revision.BY_NAME) == sorted(revision.BY_NAME)
    assert {operation.since for operation in BY_ID.values()} <= set(revision.BY_NAME)


@pytest.mark.django_db
@pytest.mark.parametrize("operation", LATER, ids=lambda operation: operation.id)
def test_what_came_later_is_not_there_before(settings: Settings, operation: object) -> None:
    request = good(operation.id)  # type: ignore[attr-defined]
    follow(settings, "2025-12")
    assert find(request.method, request.path.partition("?")[0]) is None
    assert request.send().status_code == 404
    follow(settings, "2026-07")
    assert find(request.method, request.path.partition("?")[0]) is not None


@pytest.mark.django_db
@pytest.mark.parametrize(("value", "status"), [("on", 200), ("off", 404), ("", 404), (True, 404)])
def test_without_its_switch_v2_is_not_there(settings: Settings, value: object, status: int) -> None:
    rows.world_of_one()
    assert good("v2_score").send().status_code == 200, "where the host does not define it"
    settings.FF_V2_API = value
    assert good("v2_score").send().status_code == status
    assert (find("GET", "/v2/stamps/1/score/0x1") is not None) is (status == 200)


@pytest.mark.django_db
def test_the_same_rows_at_both(settings: Settings) -> None:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.HUMAN_POINTS_WRITE_ENABLED = False
    community: Community = rows.world_of_one(threshold="1", in_program=True)
    rows.points_config()
    rows.stamps(rows.OWNER, "Google")
    assert community.pk == 1
    answers = {}
    for name in revision.BY_NAME:
        follow(settings, name)
        fresh, stored = (good(id_).send(Client()).json() for id_ in ("cache_calc_score", "cache_get_score"))
        answers[name] = [
            [list(body), body["points_data"] and body["points_data"]["total_points"]] for body in (fresh, stored)
        ]
    older = list(answers["2025-12"][0][0])
    assert answers == {
        "2025-12": [[older, 10], [older, 10]],  # awarded: there one switch does both
        "2026-07": [[[*older, "linked_score"], None], [[*older, "linked_score"], 10]],
    }
