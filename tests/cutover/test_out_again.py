"""Out again: this app's tables go, the host's stay, and coming back is possible."""

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from pytest_django import Settings

from scorer_fast.cutover import flags
from scorer_fast.cutover.dispatch import HEADER

from .conftest import SCORE

pytestmark = pytest.mark.django_db
INSTALL = Path(__file__).resolve().parents[2] / "docs" / "install.md"


def functions() -> set[str]:
    """This app's functions in the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT proname FROM pg_proc WHERE proname LIKE 'scorer\\_fast\\_%%'")
        return {name for (name,) in cursor.fetchall()}


def tables() -> set[str]:
    return set(connection.introspection.table_names())


def migrate(*arguments: str) -> None:
    call_command("migrate", "scorer_fast", *arguments, verbosity=0, stdout=StringIO())


def drop_what_is_left() -> None:
    """The statements of the document's last step."""
    block = re.search(r" *DO \$\$.*?DELETE FROM django_migrations[^\n]*\n", INSTALL.read_text(), re.DOTALL)
    assert block
    with connection.cursor() as cursor:
        cursor.execute(block[0])


def test_the_steps_of_the_document_take_all_of_ours_and_nothing_else() -> None:
    flags.set_mode("v2_score", "fast", None, "a line of the log", "test")
    before, made = tables(), functions()
    connection.check_constraints()
    migrate("zero")
    assert tables() == {name for name in before if not name.startswith("scorer_fast_")}
    assert "scorer_fast_flaglog_refuse" not in functions()
    drop_what_is_left()
    assert functions() == set()
    migrate()
    assert (tables(), functions()) == (before, made)
    flags.set_mode("v2_score", "fast", None, "back again", "test")


def test_the_last_step_alone_does_as_well() -> None:
    before = tables()
    drop_what_is_left()
    assert tables() == {name for name in before if not name.startswith("scorer_fast_")}
    assert functions() == set()
    migrate()
    assert tables() == before


def test_without_its_tables_the_middleware_leaves_everything_to_the_host(installed: Settings) -> None:
    installed.SCORER_FAST = {"FLAGS_INLINE": True}
    migrate("zero")
    response = Client().get(SCORE)
    assert (response.json()["from"], HEADER in response.headers) == ("host", False)
