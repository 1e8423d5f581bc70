"""Every test runs on a real PostgreSQL: settings.test starts an embedded one unless DATABASE_URL names
another. TEST_DB_SUFFIX keeps the databases of two runs apart; pytest-xdist's workers add a suffix each."""

import os
from collections.abc import Iterator

import hypothesis
import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connections, transaction
from django.test import TransactionTestCase

from scorer_fast import process
from scorer_fast.cutover import flags

# The same examples at every run, so that what was green stays green: `make explore` looks for new ones.
for name, is_derandomized in (("same", True), ("explore", False)):
    hypothesis.settings.register_profile(
        name, derandomize=is_derandomized, deadline=None, database=None, print_blob=not is_derandomized
    )
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS", "same"))

# Made once with the database, by its migrations.
KEPT = frozenset({"auth_permission", "django_content_type", "django_migrations"})
# A trigger refuses to delete from it.
APPEND_ONLY = "scorer_fast_flaglog"


@pytest.fixture(autouse=True)
def nobody_is_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mode fast is the fast path in tests, for every address on every day, unless one sets CONTROL_PERCENT."""
    is_control = flags.is_control
    monkeypatch.setattr(
        flags, "is_control", lambda *asked: "CONTROL_PERCENT" in settings.SCORER_FAST and is_control(*asked)
    )


@pytest.fixture(autouse=True)
def threads_are_not_frozen() -> Iterator[None]:
    """A test that answers an event of Lambda's makes this process a function's: not for the next one."""
    yield
    process.freeze_threads(False)


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    """What one test leaves in a cache (rate limits, weights) must not reach the next."""
    yield
    for cache in caches.all():  # also those that only another thread has used: they share their memory
        cache.clear()


@pytest.fixture(scope="session", autouse=True)
def deleted_instead_of_truncated() -> Iterator[None]:
    """After a test that commits, rows are deleted: to truncate every table takes ten times as long."""

    def delete_all_rows(test: TransactionTestCase) -> None:
        for alias in test._databases_names(include_mirrors=False):
            connection = connections[alias]
            # Foreign keys are checked at the end of the transaction, so the order does not matter.
            with transaction.atomic(using=alias), connection.cursor() as cursor:
                cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {APPEND_ONLY})")
                if cursor.fetchone() == (True,):
                    cursor.execute(f"TRUNCATE {APPEND_ONLY}")
                tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
                for table in sorted(set(tables) - KEPT - {APPEND_ONLY}):
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", delete_all_rows)
        yield
