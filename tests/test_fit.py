"""What doctor says of the host: where it is not what its revision says, and what this version does not know."""

import pytest
from django.apps import apps
from django.db import connection
from pytest_django import Settings

from scorer_fast import fit, revision
from scorer_fast.doctor import examine, look_at_host_settings


def follow(settings: Settings, **own: object) -> None:
    settings.SCORER_FAST = {**settings.SCORER_FAST, **own}


def said(*numbers: str) -> list[tuple[str, str]]:
    """Subject and finding of what look_at_host says under these numbers."""
    return [(about, what) for _, about, what, _, number in fit.look_at_host() if number in numbers]


def test_a_host_that_fits() -> None:
    found = list(fit.look_at_host())
    assert {level for level, *_ in found} == {fit.FINE}
    assert found[0][2].startswith("the host is taken for one of 2026-07: ")
    assert ("fine", "models", "those of 2026-07, all 46 tables", "", "") in found


def test_models_beside_the_revision(settings: Settings) -> None:
    follow(settings, CONTRACT="2025-12")
    ((about, what),) = said("W033")
    assert about == "models"
    assert "account_walletgroupcommunityclaim" in what
    assert "not of 2025-12" in what


def test_models_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [model for model in apps.get_models() if model._meta.db_table != "registry_platformmetadata"]
    monkeypatch.setattr(apps, "get_models", lambda **_: models)
    assert said("W033") == [("models", "no installed model has registry_platformmetadata: this is no host of 2026-07")]


def test_settings_that_are_missing_or_unknown(settings: Settings) -> None:
    del settings.SIWE_JWT_PUBLIC_KEY
    settings.HUMAN_POINTS_NEW_ENABLED = True
    ((about, what),) = said("W034")
    assert (about, what) == ("SIWE_JWT_PUBLIC_KEY", "a host of 2026-07 has it, and these settings do not")
    assert "HUMAN_POINTS_NEW_ENABLED" in next(what for _, about, what, *_ in fit.look_at_host() if about == "settings")


def test_routes_of_the_host(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.cutover.no_routes"
    ((about, what),) = said("W035")
    assert about == "routes"
    assert "v2_score" in what
    assert "embed_config" in what


@pytest.mark.parametrize("key", ["nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_a_key_that_cannot_be_read(settings: Settings, key: str) -> None:
    settings.SIWE_JWT_PUBLIC_KEY = key
    assert [finding.number for finding in look_at_host_settings() if finding.about == "SIWE_JWT_PUBLIC_KEY"] == ["W030"]
    follow(settings, CONTRACT="2025-12")
    assert not [finding for finding in look_at_host_settings() if finding.about == "SIWE_JWT_PUBLIC_KEY"]


def test_a_function_that_is_not_there(settings: Settings) -> None:
    follow(settings, LINKED_ADDRESSES="nowhere.at_all")
    assert "W031" in [finding.number for finding in look_at_host_settings()]


@pytest.mark.django_db
def test_a_column_that_this_version_would_leave_out() -> None:
    alias = connection.alias
    assert list(fit.look_at_inserts(alias)) == []
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE registry_score ADD COLUMN kind text NOT NULL")
        cursor.execute("ALTER TABLE registry_score ADD COLUMN other text NOT NULL DEFAULT ''")
    ((level, _, what, _, number),) = fit.look_at_inserts(alias)
    assert (level, number, what.partition(" ")[0]) == ("required", "W032", "registry_score.kind")


@pytest.mark.django_db
def test_doctor_names_the_revision() -> None:
    about = {finding.about: finding for finding in examine()}
    assert revision.found().why in about["revision"].what
    assert {table for table, _ in revision.NEWEST.columns.items()} <= set(fit.columns())
