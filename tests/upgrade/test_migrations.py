"""Migrating in any order, out and in again, and where the host has more than one database."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.upgrade import releases
from tests.upgrade.releases import Release, database, psql

HOST_APPS = ("account", "registry", "ceramic_cache", "scorer_weighted", "stake", "cgrants")
OWN_OBJECTS = """
SELECT 'relation ' || relname FROM pg_class WHERE relname LIKE 'scorer\\_fast\\_%'
UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE proname LIKE 'scorer\\_fast\\_%'
UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE 'scorer\\_fast\\_%'
UNION ALL SELECT 'migration ' || name FROM django_migrations WHERE app = 'scorer_fast'
ORDER BY 1
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return releases.checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def migrated(here: Release) -> Iterator[str]:
    with database("migrated") as url:
        here.migrate(url)
        yield url


def own_objects(url: str) -> list[str]:
    return psql(url, OWN_OBJECTS)


def orders() -> list[tuple[str, ...]]:
    shuffled = list(HOST_APPS)
    random.Random(20260601).shuffle(shuffled)
    return [("scorer_fast", *HOST_APPS), (*HOST_APPS[:3], "scorer_fast", *HOST_APPS[3:]), (*shuffled, "scorer_fast")]


@pytest.mark.parametrize("order", orders(), ids=["before the host's", "between them", "after them"])
def test_apps_may_be_migrated_in_any_order(order: tuple[str, ...], here: Release, migrated: str) -> None:
    with database("ordered") as url:
        here.manage(url, *(("migrate", app) for app in order), ("migrate",))
        assert own_objects(url) == own_objects(migrated)


def test_out_and_in_again(here: Release, migrated: str) -> None:
    with database("zero", migrated.rpartition("/")[2]) as url:
        before = own_objects(url)
        here.migrate(url, "scorer_fast", "zero")
        assert own_objects(url) == []
        here.migrate(url, "scorer_fast")
        assert own_objects(url) == before


ELSEWHERE = """
from settings.test import *
DATABASES = {{"default": DATABASES["default"], "elsewhere": {elsewhere!r}}}
DATABASE_ROUTERS = ["elsewhere.Router"]

class Router:
    def allow_migrate(self, db, app_label, **hints):
        return None if db == "default" else app_label not in {apps!r}
"""
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "elsewhere.sqlite3"}


def settings(folder: Path, elsewhere: dict[str, str]) -> dict[str, str]:
    (folder / "elsewhere.py").write_text(ELSEWHERE.format(elsewhere=elsewhere, apps=HOST_APPS))
    return {"DJANGO_SETTINGS_MODULE": "elsewhere"}


def test_a_database_for_other_apps_is_migrated_too(here: Release, migrated: str) -> None:
    """Without a router for this app its tables are made there too: nobody reads them, and nothing fails."""
    with database("other") as other:
        name = other.rpartition("/")[2]
        import dj_database_url

        environment = settings(here.folder, dict(dj_database_url.parse(other)))
        here.migrate(migrated, "--database", "elsewhere", **environment)
        assert own_objects(other), name
        here.migrate(migrated, "scorer_fast", "zero", "--database", "elsewhere", **environment)
        assert own_objects(other) == []


def test_a_database_that_is_no_postgresql_is_migrated_too(here: Release, migrated: str) -> None:
    environment = settings(here.folder, SQLITE)
    both = (("migrate", "--database", "elsewhere"), ("migrate", "scorer_fast", "zero", "--database", "elsewhere"))
    here.manage(migrated, *both, **environment)
