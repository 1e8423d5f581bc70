"""Arrays as PostgreSQL reads them, written without psycopg."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scorer_fast.db.connection import text_array

pytestmark = pytest.mark.django_db
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@SHARED
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
@example([])
@example(["", " ", "NULL", "null", '"', "\\", '\\"', "{}", "a,b", "{'x'}", "%s", "\n", "é"])
def test_texts_come_back_as_they_were(values: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %(values)s::text[]", {"values": text_array(values)})
        assert cursor.fetchone() == (values,)
