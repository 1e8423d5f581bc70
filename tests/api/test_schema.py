"""The migrations leave exactly the tables of the contract, at both revisions of the host, and the comparison can tell
when they do not."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from scorer_fast.revision import REVISIONS
from tests.api.catalogue import Schema, list_differences, read_schema

FOLDER = Path(__file__).parent.parent / "contract"
OLDER: Schema = json.loads((FOLDER / "schema.json").read_text())
CONTRACT: Schema = json.loads((FOLDER / "schema-2026-07.json").read_text())


def differences(contract: Schema = CONTRACT) -> list[str]:
    with connection.cursor() as cursor:
        return list_differences(contract, read_schema(cursor))


def constraint_on(table: str, column: str, kind: str) -> str:
    """Name of the table's one constraint of this kind (`f`, `p`, `u`) with the column."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT k.conname
            FROM pg_constraint k
            JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
            WHERE k.conrelid = %s::regclass AND a.attname = %s AND k.contype = %s
            """,
            [table, column, kind],
        )
        [(name,)] = cursor.fetchall()
    return name


def pattern_index_on(table: str, column: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = %s AND indexdef LIKE %s",
            [table, f"%({column} %pattern\\_ops)"],
        )
        [(name,)] = cursor.fetchall()
    return name


def test_the_contracts_have_42_and_47_tables() -> None:
    assert (len(OLDER), len(CONTRACT)) == (42, 47)


def test_the_revisions_name_these_tables() -> None:
    """All but Django's own, which no app of the host brings."""
    for facts, schema in zip(REVISIONS, (OLDER, CONTRACT), strict=True):
        assert facts.tables == schema.keys() - {"auth_user"}


@pytest.mark.django_db(transaction=True)
def test_migrated_back_it_is_the_older_contract() -> None:
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    apps = ("account", "ceramic_cache", "registry")
    try:
        MigrationExecutor(connection).migrate([(app, "0001_initial") for app in apps])
        found = differences(OLDER)
    finally:
        MigrationExecutor(connection).migrate(newest)
    assert not found, "\n" + "\n".join(found)
    assert not differences()


@pytest.mark.django_db
def test_the_migrated_database_is_the_contract() -> None:
    found = differences()
    assert not found, "\n" + "\n".join(found)


@pytest.mark.django_db
def test_models_have_no_changes_that_migrations_lack() -> None:
    output = io.StringIO()
    try:
        call_command("makemigrations", "--check", "--dry-run", stdout=output)
    except SystemExit:
        pytest.fail(output.getvalue())
    assert "No changes detected" in output.getvalue()


# Each alteration, with what the comparison must then say; the transaction of the test takes it back.
ALTERATIONS = {
    "table dropped": ("DROP TABLE stake_stake", ["stake_stake: missing"]),
    "column dropped": (
        "ALTER TABLE registry_score DROP COLUMN error",
        ["registry_score: column error: missing"],
    ),
    "column added": (
        "ALTER TABLE registry_score ADD COLUMN extra text",
        ["registry_score: column extra: unexpected"],
    ),
    "type changed": (
        "ALTER TABLE stake_stake ALTER COLUMN current_amount TYPE numeric(78, 17)",
        [
            "stake_stake: column current_amount: expected nullable False, type numeric(78,18), "
            "found nullable False, type numeric(78,17)"
        ],
    ),
    "nullability changed": (
        "ALTER TABLE ceramic_cache_ban ALTER COLUMN hash DROP NOT NULL",
        [
            "ceramic_cache_ban: column hash: expected nullable False, type character varying(100), "
            "found nullable True, type character varying(100)"
        ],
    ),
    "identity dropped": (
        "ALTER TABLE registry_event ALTER COLUMN id DROP IDENTITY",
        [
            "registry_event: column id: expected identity True, nullable False, type bigint, "
            "found nullable False, type bigint"
        ],
    ),
    "server default": (
        "ALTER TABLE ceramic_cache_ceramiccache ALTER COLUMN type SET DEFAULT 1",
        [
            "ceramic_cache_ceramiccache: column type: expected nullable False, type integer, "
            "found default 1, nullable False, type integer"
        ],
    ),
    "partial unique index dropped": (
        "DROP INDEX ceramic_cache_live_stamp",
        ["ceramic_cache_ceramiccache: unique: missing (type, address, provider, WHERE (deleted_at IS NULL))"],
    ),
    "partial unique index made whole": (
        "DROP INDEX registry_weightconfig_one_active; "
        "CREATE UNIQUE INDEX one_active ON registry_weightconfiguration (active)",
        [
            "registry_weightconfiguration: unique: missing (active, WHERE active)",
            "registry_weightconfiguration: unique: unexpected (active)",
        ],
    ),
    "unique columns in another order": (
        "ALTER TABLE registry_humanpointscommunityqualifiedusers "
        "DROP CONSTRAINT registry_hpcqu_once_per_community, ADD UNIQUE (community_id, address)",
        [
            "registry_humanpointscommunityqualifiedusers: unique: missing (address, community_id)",
            "registry_humanpointscommunityqualifiedusers: unique: unexpected (community_id, address)",
        ],
    ),
    "index dropped": (
        "DROP INDEX registry_event_by_address",
        ["registry_event: indexes: missing (action, address, community_id, created_at)"],
    ),
    "one of two equal indexes dropped": (
        "DROP INDEX registry_hpcqu_address",
        ["registry_humanpointscommunityqualifiedusers: indexes: missing (address)"],
    ),
    "index descending": (
        "DROP INDEX registry_gtc_round_staker; "
        "CREATE INDEX descending ON registry_gtcstakeevent (round_id, staker DESC)",
        [
            "registry_gtcstakeevent: indexes: missing (round_id, staker)",
            "registry_gtcstakeevent: indexes: unexpected (round_id, staker option 3)",
        ],
    ),
    "index of another kind, partial": (
        "CREATE INDEX hashed ON account_account USING hash (address) WHERE id > 1",
        ["account_account: indexes: unexpected (address, WHERE (id > 1), USING hash)"],
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", ALTERATIONS)
def test_the_comparison_sees(name: str) -> None:
    statement, expected = ALTERATIONS[name]
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert differences() == expected


@pytest.mark.django_db
def test_the_comparison_sees_a_primary_key_dropped() -> None:
    name = constraint_on("registry_humanpointsmultiplier", "address", "p")
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE registry_humanpointsmultiplier DROP CONSTRAINT "{name}"')
    assert differences() == [
        "registry_humanpointsmultiplier: primary key: expected ['address'], found []",
    ]


@pytest.mark.django_db
def test_the_comparison_sees_a_foreign_key_dropped() -> None:
    name = constraint_on("registry_stamp", "passport_id", "f")
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE registry_stamp DROP CONSTRAINT "{name}"')
    assert differences() == [
        "registry_stamp: foreign_keys: missing columns ['passport_id'], deferrable True, references registry_passport",
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("timing", ["NOT DEFERRABLE", "DEFERRABLE INITIALLY IMMEDIATE"])
def test_the_comparison_sees_a_foreign_key_checked_at_once(timing: str) -> None:
    name = constraint_on("registry_stamp", "passport_id", "f")
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE registry_stamp ALTER CONSTRAINT "{name}" {timing}')
    assert differences() == [
        "registry_stamp: foreign_keys: missing columns ['passport_id'], deferrable True, references registry_passport",
        "registry_stamp: foreign_keys: unexpected columns ['passport_id'], deferrable False, "
        "references registry_passport",
    ]


@pytest.mark.django_db
def test_the_comparison_sees_a_foreign_key_to_another_table() -> None:
    name = constraint_on("account_customization", "scorer_id", "f")
    with connection.cursor() as cursor:
        cursor.execute(
            f'ALTER TABLE account_customization DROP CONSTRAINT "{name}", ADD FOREIGN KEY (scorer_id) '
            "REFERENCES scorer_weighted_scorer DEFERRABLE INITIALLY DEFERRED"
        )
    assert differences() == [
        "account_customization: foreign_keys: missing columns ['scorer_id'], deferrable True, "
        "references account_community",
        "account_customization: foreign_keys: unexpected columns ['scorer_id'], deferrable True, "
        "references scorer_weighted_scorer",
    ]


@pytest.mark.django_db
def test_the_comparison_sees_a_unique_constraint_dropped() -> None:
    name = constraint_on("registry_score", "passport_id", "u")
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER TABLE registry_score DROP CONSTRAINT "{name}"')
    assert differences() == ["registry_score: unique: missing (passport_id)"]


@pytest.mark.django_db
def test_the_comparison_sees_a_pattern_index_dropped() -> None:
    name = pattern_index_on("account_account", "address")
    with connection.cursor() as cursor:
        cursor.execute(f'DROP INDEX "{name}"')
    assert differences() == ["account_account: indexes: missing (address, pattern_ops)"]
