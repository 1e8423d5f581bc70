"""Rows are taken by name: what a statement selects bears the names of the class that its rows become, in order."""

import re

import pytest
from django.db import connection, transaction

from scorer_fast.lookups import api_key_queries, queries
from scorer_fast.scoring import read, rescore_queries, write
from tests.guards.statements import constants

ROWS: dict[str, type] = {
    "read.READ_SCORING": read.ReadScoring,
    "read.READ_MANY": read.ReadScoring,
    "read.GET_STORED_SCORE": read.StoredScoreRow,
    "write.WRITE_SCORING": write.Written,
    "write.WRITE_BATCH": write.WrittenOfBatch,
    "api_key_queries.GET_API_KEY": api_key_queries.ApiKeyRow,
    "queries.LIST_STAKE_EVENTS": queries.StakeEventRow,
    "rescore_queries.CLAIM_BATCH": rescore_queries.BatchRow,
    "rescore_queries.GET_COMMUNITY": rescore_queries.Community,
    "rescore_queries.LIST_FAILURES": rescore_queries.FailureRow,
}
BEHIND = {"read.READ_MANY": 1}  # columns before those of the class


def selected(name: str) -> list[str]:
    """The names of what the statement selects, as PostgreSQL gives them."""
    statement = constants()[name]
    parameters = dict.fromkeys(re.findall(r"%\((\w+)\)s", statement))
    for given in ("plan", "plans"):
        if given in parameters:
            parameters[given] = '{"address": "0x"}' if given == "plan" else "[]"
    with transaction.atomic(), connection.cursor() as cursor:
        if name == "write.WRITE_SCORING":  # no plan: the names of the function's columns are those of its statement
            cursor.execute(f"SELECT q.* FROM ({statement.strip().partition(chr(10))[2]}) AS q WHERE FALSE", parameters)
        else:
            cursor.execute(statement, parameters)
        transaction.set_rollback(True)
        return [column[0] for column in cursor.description]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ROWS)
def test_a_row_class_has_the_names_of_its_statement(name: str) -> None:
    assert selected(name)[BEHIND.get(name, 0) :] == list(ROWS[name]._fields)  # type: ignore[attr-defined]
