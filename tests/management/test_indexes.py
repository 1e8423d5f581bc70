"""``manage.py scorer_fast indexes``: it names what is missing, makes it when asked to, and is then content."""

from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from scorer_fast.db import requirements as needs

pytestmark = pytest.mark.django_db(transaction=True)
WANTED = needs.Index("registry_stamp", ("passport_id",))
ALL_ARE_THERE = f"All {len(needs.INDEXES)} indexes are there.\n"


def indexes(*arguments: str) -> str:
    out = StringIO()
    call_command("scorer_fast", "indexes", *arguments, stdout=out)
    return out.getvalue()


def execute(statement: str) -> list[tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def without_one() -> Iterator[str]:
    """A database that lacks the index on registry_stamp (passport_id); its own name and definition come back."""
    ((name, definition),) = execute(
        "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE tablename = 'registry_stamp' AND indexdef LIKE '%(passport_id)'"
    )
    execute(f'DROP INDEX "{name}"')
    yield name
    execute(f"DROP INDEX IF EXISTS {WANTED.name}")
    execute(definition)


def test_the_migrated_database_lacks_none() -> None:
    assert indexes() == ALL_ARE_THERE


def test_what_is_missing_is_named_and_not_made(without_one: str) -> None:
    for _ in range(2):
        statement, advice = indexes().splitlines()
        assert statement == WANTED.remedy
        assert advice == "1 missing. Run them, or this command with --apply."


def test_applied_it_is_there_and_valid(without_one: str) -> None:
    assert indexes("--apply").splitlines() == [WANTED.remedy]
    assert indexes() == ALL_ARE_THERE
    assert indexes("--apply") == ALL_ARE_THERE


def test_inside_a_transaction_it_says_why_not(without_one: str) -> None:
    with transaction.atomic(), pytest.raises(CommandError, match="inside a transaction"):
        indexes("--apply")


def test_every_index_can_be_printed_and_has_a_name_of_its_own() -> None:
    assert indexes("--all").splitlines() == [index.remedy for index in needs.INDEXES]
    names = [index.name for index in needs.INDEXES]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 63
