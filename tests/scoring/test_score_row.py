"""A column of the score in each of its places: written first and again, compared, and answered from the row.

Each place that a new column was forgotten in fails here.
"""

from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from api.account.models import Community
from scorer_fast.db import requirements
from scorer_fast.domain.score import COLUMNS, Column, row_fields
from scorer_fast.run import Run
from scorer_fast.scoring import service
from scorer_fast.scoring.expected import rows_now
from scorer_fast.scoring.plan import Plan
from scorer_fast.scoring.write import plan_json, write_batch
from tests.factories import rows
from tests.factories.requests import good
from tests.factories.rows import OWNER
from tests.factories.scoring import reading, score, timeless

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = [column.name for column in COLUMNS]
OF_THE_TOKEN = "last_score_timestamp"  # whoever changes it is another scoring


@pytest.fixture
def scored(one: Community) -> Community:
    rows.stamps(OWNER, "Google")
    score()
    return one


def decided() -> tuple[Plan, str]:
    """The address's next scoring, and as the database takes it where a score that says the same is left."""
    run = Run()
    plan, checked = service.decide_row(run, reading(), OWNER, service.rules())
    return plan, plan_json(run, plan, checked, awaited=False, unless_same=True)


def stored(plan: Plan) -> dict[str, Any]:
    (row,) = rows_now("default", plan, plan.now)["registry_score"]
    return comparable(row)


def wanted(plan: Plan) -> dict[str, Any]:
    return comparable(row_fields(plan.score, plan.now))


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Without the time, and an expiry as an instant: PostgreSQL writes no zeros at the end of a fraction."""
    expires = row["expiration_date"]
    row = row | {"expiration_date": expires and datetime.fromisoformat(expires)}
    return {name: value for name, value in row.items() if name != OF_THE_TOKEN}


def test_every_column_of_the_table_is_written_and_known() -> None:
    with connection.cursor() as cursor:
        there = {column.name for column in connection.introspection.get_table_description(cursor, "registry_score")}
    assert {"id", "passport_id", *NAMES} == there
    assert set(requirements.COLUMNS["registry_score"]) == there


def test_a_first_score_is_the_row_that_was_decided(scored: Community) -> None:
    plan, _ = decided()
    assert stored(plan) == wanted(plan)


def test_a_score_that_says_the_same_is_left(scored: Community) -> None:
    assert write_batch("default", [decided()[1]])[0].is_left


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.name != OF_THE_TOKEN], ids=lambda c: c.name)
def test_a_score_that_differs_in_one_column_is_written_again(column: Column, scored: Community) -> None:
    plan, text = decided()
    another = "'another'" if wanted(plan)[column.name] is None else "NULL"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE registry_score SET {column.name} = {another}")
    (written,) = write_batch("default", [text])
    assert (written.is_left, written.state) == (False, None)
    assert stored(plan) == wanted(plan)


def test_a_stored_score_is_answered_as_when_it_was_decided(scored: Community) -> None:
    fresh = good("cache_calc_score").send().json()
    assert timeless(good("cache_get_score").send().json()) == timeless(fresh)
