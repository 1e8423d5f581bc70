"""The doctor: a sound project passes, and each thing that is missing is named with its remedy."""

import json
import re
import subprocess
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from scorer_fast import doctor as diagnosis
from scorer_fast import fit, revision, samples
from scorer_fast.cutover import flags
from scorer_fast.db import functions, trials
from scorer_fast.db import requirements as needs
from scorer_fast.doctor import ADVISED, FINE, REQUIRED, Finding
from scorer_fast.models import OperationFlag
from tests.factories.fixtures import one
from tests.guards.statements import constants

__all__ = ["one"]
pytestmark = pytest.mark.django_db
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
    """A shared cache, time limits, and didkit's process left out."""
    alter("SELECT set_config('statement_timeout', '10s', TRUE)")
    alter("SELECT set_config('idle_in_transaction_session_timeout', '60s', TRUE)")
    monkeypatch.setattr(diagnosis, "PER_PROCESS", ())
    monkeypatch.setattr(diagnosis, "look_at_didkit", lambda: iter([diagnosis.fine("didkit", "not asked")]))


# ---- the command


@pytest.mark.usefixtures("one", "healthy")
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
        "no pooler stands in front",
        "statements can be run",
        "a scoring can be written",
        f"all {len(fit.indexes())} indexes",
        "LocMemCache",
    ):
        assert about in text


@pytest.mark.usefixtures("one", "healthy")
def test_what_is_missing_is_printed_with_its_remedy_and_fails() -> None:
    alter("ALTER TABLE stake_stake DROP COLUMN unlock_time")
    out = StringIO()
    with pytest.raises(CommandError, match=r"1 required thing is missing\."):
        call_command("scorer_fast", "doctor", stdout=out)
    said = "required  database default: column s.unlock_time does not exist (42703): lookups."
    assert said in out.getvalue()
    assert "\n          → Run the host's" in out.getvalue()
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("scorer_fast", "doctor", "--json", stdout=out)
    (finding,) = [each for each in json.loads(out.getvalue()) if each["level"] == "required"]
    assert (finding["number"], finding["level"]) == ("W011", "required")


@pytest.mark.usefixtures("one", "healthy")
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


def database() -> list[Finding]:
    """What is not as it should be in the database, limits of time left out: the tests' server has none."""
    return [finding for finding in bad(diagnosis._ask("default")) if "_timeout" not in finding.remedy]


@pytest.mark.usefixtures("one")
def test_the_migrated_database_lacks_nothing() -> None:
    assert database() == []


@pytest.mark.usefixtures("one")
def test_a_community_that_is_not_there_is_told(settings: Settings) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = "99"
    (finding,) = database()
    assert (finding.level, finding.what) == (ADVISED, "it has no community 99: a request was not tried")


def test_every_statement_is_tried() -> None:
    assert set(diagnosis.statements().values()) >= set(constants().values())


@pytest.mark.parametrize("table", sorted({index.table for index in needs.INDEXES}))
def test_each_table_that_is_gone_is_named(table: str) -> None:
    alter(f"ALTER TABLE {table} RENAME TO elsewhere")
    found = bad(diagnosis.look_at_statements("default"))
    assert any(f'relation "{table}" does not exist (42P01)' in finding.what for finding in found), found
    assert found[0].remedy.startswith("Run the host's migrations")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("account_allowlist", "weight"),
        ("account_customization", "scorer_id"),
        ("account_accountapikey", "hashed_key_sha256"),
        ("ceramic_cache_ceramiccache", "source_app"),
        ("ceramic_cache_ceramiccache", "compose_db_save_status"),
        ("ceramic_cache_revocation", "ceramic_cache_id"),
        ("registry_event", "data"),
        ("registry_hashscorerlink", "expires_at"),
        ("registry_humanpoints", "tx_hash"),
        ("registry_humanpointscommunityqualifiedusers", "address"),
        ("registry_score", "stamp_scores"),
        ("registry_stamp", "credential"),
        ("scorer_weighted_binaryweightedscorer", "threshold"),
        ("stake_stake", "unlock_time"),
    ],
)
@pytest.mark.usefixtures("one")
def test_a_column_that_is_gone_is_named_also_where_only_a_function_reads_it(table: str, column: str) -> None:
    alter(f"ALTER TABLE {table} RENAME COLUMN {column} TO elsewhere")
    found = [finding for finding in database() if finding.number == "W011"]
    assert any(column in finding.what and "42703" in finding.what for finding in found), found


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


def test_what_is_inserted_is_known_to_be() -> None:
    """A column that an INSERT names is not told to be one that this version does not know."""
    inserted: dict[str, set[str]] = {}
    for text in [*constants().values(), *map(functions.text, functions.NAMES)]:
        for table, columns in re.findall(r"INSERT INTO (\w+) \(([^)]+)\)", text):
            inserted.setdefault(table, set()).update(re.findall(r"\w+", columns))
    assert set(fit.INSERTED) <= set(inserted)
    assert {table: inserted[table] - set(needs.COLUMNS[table]) for table in fit.INSERTED if table in inserted} == {
        table: set() for table in fit.INSERTED
    }


TABLE_AS = re.compile(r"(?:FROM|JOIN|UPDATE)\s+(\w+)\s+AS\s+(\w+)")
SYSTEM = {"xmin", "ctid"}


def test_what_is_read_is_known_to_be() -> None:
    """A column that a statement or a function reads, by an alias that stands for one table in it."""
    known: dict[str, set[str]] = {table: {*columns} for table, columns in needs.COLUMNS.items()}
    for table, columns in revision.NEWEST.columns.items():
        known[table] = known.get(table, set()) | {*columns}
    read, unknown = 0, []
    for text in [*constants().values(), *map(functions.text, functions.NAMES)]:
        statement = re.sub(r"--.*|'[^']*'", "", text)
        aliases = re.findall(r"\bAS\s+(\w+)", statement)
        tables = {alias: table for table, alias in TABLE_AS.findall(statement) if aliases.count(alias) == 1}
        for alias, column in re.findall(r'\b([a-z]\w*)\."?(\w+)', statement):
            table = tables.get(alias, "")
            if table in revision.NEWEST.tables and column not in SYSTEM:
                read += 1
                unknown += [] if column in known.get(table, ()) else [f"{table}.{column}"]
    assert read > 100
    assert not unknown


def test_own_migrations_that_are_missing_are_named() -> None:
    alter("DELETE FROM django_migrations WHERE app = 'scorer_fast' AND name LIKE '0001%'")
    finding = only(diagnosis.look_at_own_tables("default"))
    assert finding.what == "not there: migration 0001_initial"
    assert finding.remedy.startswith("manage.py migrate scorer_fast --database default")


def test_a_function_that_is_missing_is_named() -> None:
    alter(f"DROP FUNCTION scorer_fast_{functions.NAMES[-1]}")
    finding = only(diagnosis.look_at_own_tables("default"))
    assert finding.what == f"not there: function {functions.NAMES[-1]}"
    # Its remedy is what it says, and costs no flag.
    flags.set_mode("v2_score", "fast", None, "kept", "ann")
    call_command(*finding.remedy.partition(" (")[0].removeprefix("manage.py ").split(), verbosity=0)
    assert not bad(diagnosis.look_at_own_tables("default"))
    assert OperationFlag.objects.get().mode == "fast"


def test_a_database_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("no route")

    monkeypatch.setattr(trials, "get_session", away)
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
