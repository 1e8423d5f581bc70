"""Every recorded case, one test each: status, body and the rows that it leaves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.contract import replay

CASES = {file.name.removesuffix(".json.gz"): file for file in Path(__file__).parent.glob("golden/*.json.gz")}
# Of Django's own, made once with the database.
KEPT = ("auth_permission", "django_content_type", "django_migrations")
ALL_TABLES = """
    -- the tables that a test may have filled
    SELECT table_name
    FROM information_schema.tables
    WHERE table_schema = current_schema()
      AND table_type = 'BASE TABLE'
      AND table_name <> ALL(%(kept)s)
"""


@pytest.fixture
def database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database outside any transaction, as a server sees it; left as empty as it was found."""
    with django_db_blocker.unblock():
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute(ALL_TABLES, {"kept": list(KEPT)})
                tables = ", ".join(connection.ops.quote_name(name) for (name,) in cursor.fetchall())
                cursor.execute(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
            connection.close()


@pytest.fixture(scope="session")
def seeded_tables() -> list[str]:
    """Every table that some case fills or looks at: each case starts with all of them empty."""
    cases = [replay.read(file) for file in CASES.values()]
    return sorted({table for case in cases for table in [*case["seed"], *case["after"]]})


def problems(case: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """What differs from the record, a line each."""
    lines = [
        line
        for number, (step, seen) in enumerate(zip(case["steps"], got["steps"], strict=True))
        for line in replay.diff(step["expect"], seen, f"step{number}")
    ]
    rows = {table: got["after"].get(table) for table in case["expect_rows"]}
    return lines + replay.diff(case["expect_rows"], rows, "rows")


@pytest.mark.parametrize("name", sorted(CASES))
def test_recorded_case(name: str, seeded_tables: list[str], database: None) -> None:
    case = replay.read(CASES[name])
    case["after"] = sorted({*case["after"], *case["expect_rows"]})
    found = problems(case, replay.run_case(case, seeded_tables))
    assert not found, f"{name}: {case['note']}\n" + "\n".join(found)
