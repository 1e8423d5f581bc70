"""The doctor: a sound project passes, and each thing that is missing is named with its remedy."""

import json
import re
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from scorer_fast import doctor as diagnosis
from scorer_fast import samples
from scorer_fast.cutover import flags
from scorer_fast.db import functions
from scorer_fast.db import requirements as needs
from scorer_fast.doctor import ADVISED, FINE, REQUIRED, Finding
from scorer_fast.models import OperationFlag
from tests.guards.statements import constants

pytestmark = pytest.mark.django_db
SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "contract" / "schema.json").read_text())
MIDDLEWARE = diagnosis.MIDDLEWARE


def alter(statement: str) -> None:
    """Change the schema; the test's transaction takes it back."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def bad(findings: Any) -> list[Finding]:
    return [finding for finding in findings if finding.level != FINE]


def only(findings: Any) -> Finding:
    (finding,) = bad(findings)
    return finding


@pytest.fixture
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shared cache, and didkit's process left out."""
    monkeypatch.setattr(diagnosis, "PER_PROCESS", ())
    monkeypatch.setattr(diagnosis, "look_at_didkit", lambda: iter([diagnosis.fine("didkit", "not asked")]))


# ---- the command


@pytest.mark.usefixtures("healthy")
def test_a_sound_project_passes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '10s'")
    out = StringIO()
    call_command("scorer_fast", "doctor", stdout=out)
    lines = out.getvalue().splitlines()
    assert all(line.startswith(("fine      ", "          → Set it to True where")) for line in lines), lines
    text = out.getvalue()
    for about in (
        "versions: Python 3.",
        "PostgreSQL ",
        "all 31 tables",
        f"all {len(needs.INDEXES)} indexes",
        "LocMemCache",
    ):
        assert about in text


@pytest.mark.usefixtures("healthy")
def test_what_is_missing_is_printed_with_its_remedy_and_fails() -> None:
    alter("ALTER TABLE stake_stake DROP COLUMN unlock_time")
    out = StringIO()
    with pytest.raises(CommandError, match=r"1 required thing is missing\."):
        call_command("scorer_fast", "doctor", stdout=out)
    assert (
        "required  database default: stake_stake has no unlock_time (W012)\n          → Run the host's"
        in out.getvalue()
    )
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("scorer_fast", "doctor", "--json", stdout=out)
    (finding,) = [each for each in json.loads(out.getvalue()) if each["level"] == "required"]
    assert (finding["number"], finding["what"]) == ("W012", "stake_stake has no unlock_time")


@pytest.mark.usefixtures("healthy")
def test_advice_alone_does_not_fail() -> None:
    for name in indexes("stake_stake"):
        if "stakee" in name and "staker" not in name:
            alter(f'DROP INDEX "{name}"')
    out = StringIO()
    call_command("scorer_fast", "doctor", stdout=out)
    assert "advised   database default: stake_stake has no index on (stakee) (W014)" in out.getvalue()


def indexes(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [table])
        return [name for (name,) in cursor.fetchall()]


# ---- schema


def test_the_migrated_database_lacks_nothing() -> None:
    assert bad(diagnosis.look_at_schema("default")) == []
    assert bad(diagnosis.look_at_own_tables("default")) == []
    assert bad(diagnosis.look_at_indexes("default")) == []


@pytest.mark.parametrize("table", sorted(needs.COLUMNS))
def test_each_table_and_column_that_is_gone_is_named(table: str) -> None:
    column = needs.COLUMNS[table][-1]
    alter(f"ALTER TABLE {table} RENAME COLUMN {column} TO elsewhere")
    assert only(diagnosis.look_at_schema("default")).what == f"{table} has no {column}"
    alter(f"ALTER TABLE {table} RENAME TO elsewhere")
    finding = only(diagnosis.look_at_schema("default"))
    assert (finding.what, finding.number) == (f"1 tables are missing: {table}", "W011")


@pytest.mark.parametrize("index", needs.INDEXES, ids=lambda index: f"{index.table} {index.columns}")
def test_each_index_that_is_gone_is_named_and_its_remedy_makes_it(index: needs.Index) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.conname FROM pg_constraint AS c WHERE c.conrelid = %s::regclass AND c.contype IN ('u', 'p')",
            [index.table],
        )
        keys = [name for (name,) in cursor.fetchall()]
        for name in keys:
            cursor.execute(f'ALTER TABLE {index.table} DROP CONSTRAINT "{name}" CASCADE')
    for name in indexes(index.table):
        alter(f'DROP INDEX "{name}"')
    missing = [each for each in needs.missing_indexes("default") if each.table == index.table]
    assert index in missing
    (finding,) = [each for each in diagnosis.look_at_indexes("default") if each.remedy == index.remedy]
    assert (finding.level, finding.number) == (ADVISED, "W014")
    alter(index.remedy.replace(" CONCURRENTLY", ""))
    assert index not in needs.missing_indexes("default")


def test_an_index_of_a_missing_table_is_not_asked_for() -> None:
    alter("ALTER TABLE stake_stake RENAME TO elsewhere")
    assert needs.missing_indexes("default") == []


def test_a_wider_unique_index_does_not_stand_for_a_narrow_one() -> None:
    wide = needs.Index("t", ("a", "b"), True)
    assert needs._serves(wide, needs.Index("t", ("a",)))
    assert not needs._serves(wide, needs.Index("t", ("a",), True))
    assert not needs._serves(needs.Index("t", ("a",)), needs.Index("t", ("a",), True))


def test_needs_name_what_statements_name() -> None:
    """Every host table in a statement is listed with every column of it that any statement names."""
    table_name = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO|USING)\s+((?:[a-z]+_)+[a-z]+)\b")
    named: dict[str, set[str]] = {}
    for text in constants().values():
        statement = "\n".join(line for line in text.splitlines() if not line.strip().startswith("--"))
        for table in set(table_name.findall(statement)) & set(SCHEMA):
            columns = {column["name"] for column in SCHEMA[table]["columns"]}
            named.setdefault(table, set()).update(columns & set(re.findall(r"\w+", statement)))
    assert {table: set(columns) for table, columns in needs.COLUMNS.items()} == named


def test_own_migrations_and_functions_that_are_missing_are_named() -> None:
    alter("DELETE FROM django_migrations WHERE app = 'scorer_fast' AND name LIKE '0003%'")
    finding = only(diagnosis.look_at_own_tables("default"))
    assert finding.what == "migrations of scorer_fast are not applied: 0003_experiment"
    assert finding.remedy == "manage.py migrate scorer_fast --database default"


def test_a_function_that_is_missing_is_named() -> None:
    alter(functions.FUNCTIONS[0].drop)
    finding = only(diagnosis.look_at_own_tables("default"))
    assert finding.what == f"the function {functions.FUNCTIONS[0].signature.partition('(')[0]} is missing"
    # Its remedy is what it says, and costs no flag.
    flags.set_mode("v2_score", "fast", None, "kept", "ann")
    call_command(*finding.remedy.partition(" (")[0].removeprefix("manage.py ").split(), verbosity=0)
    assert not bad(diagnosis.look_at_own_tables("default"))
    assert OperationFlag.objects.get().mode == "fast"


def test_a_database_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("no route")

    monkeypatch.setattr(needs, "list_columns", away)
    finding = only(diagnosis._ask("default"))
    assert (finding.number, finding.what) == ("W010", "it cannot be asked (OperationalError)")


# ---- beside


def test_a_cache_of_one_process_is_advised_against() -> None:
    assert only(diagnosis.look_at_cache()).what.startswith("LocMemCache is not shared")


def test_a_cache_that_is_away_is_named(settings: Settings) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    finding = only(diagnosis.look_at_cache())
    assert finding.about == "cache default"
    assert "cannot be reached" in finding.what


def test_didkit_tells_good_from_bad() -> None:
    (finding,) = diagnosis.look_at_didkit()
    assert finding.level == FINE, finding
    assert "both proof formats check out, and a tampered one does not" in finding.what


def test_a_didkit_that_judges_wrongly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "ED25519", samples.ED25519.replace("Google", "Github"))
    finding = only(diagnosis.look_at_didkit())
    assert (finding.level, finding.number) == (REQUIRED, "E008")
    assert "judges known credentials wrongly" in finding.what


@pytest.mark.parametrize("script", ["import os; os.abort()", "print('nonsense')", "import no_such_module"])
def test_a_didkit_that_brings_its_process_down_is_named(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_CHECK_SIGNATURES", script)
    assert "cannot check a signature here" in only(diagnosis.look_at_didkit()).what


def test_a_didkit_that_takes_too_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> Any:
        raise subprocess.TimeoutExpired("didkit", 60)

    monkeypatch.setattr(subprocess, "run", slow)
    assert "TimeoutExpired" in only(diagnosis.look_at_didkit()).what


# ---- the server's version


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("15.18 (Debian 15.18-0+deb12u1)", FINE),
        ("16.14", FINE),
        ("18.4", FINE),
        ("18beta1", FINE),
        ("14.20", ADVISED),
        ("19devel", ADVISED),
        ("", ADVISED),
    ],
)
def test_the_versions_of_postgresql(version: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "get_server_version", lambda alias: version)
    (finding,) = diagnosis.look_at_server("default")
    assert finding.level == level
    assert finding.number == ("" if level == FINE else "W015")


def test_the_server_of_this_run_is_a_supported_one() -> None:
    assert [finding.level for finding in diagnosis.look_at_server("default")] == [FINE]
