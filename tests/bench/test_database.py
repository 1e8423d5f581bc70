"""The steps by which the benchmark makes its database, which run only where there is none yet."""

import pytest
from django.db import connection

from api.account.models import Community
from api.registry.models import Score
from tests.factories import rows
from tests.factories.database import database_url
from tests.factories.rows import OWNER

pytest.importorskip("psycopg", reason="the benchmark fills its database by psycopg 3, whatever the service uses")
from bench import database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def one_to_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "to_score", lambda part: iter([(part, OWNER)]))


def test_addresses_are_scored(one: Community) -> None:
    rows.stamps(OWNER, "Google", "Ens")
    database.score(one.pk)
    assert Score.objects.get().status == "DONE"


def test_one_that_cannot_be_scored_ends_it(one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.factories.scoring.score", lambda *_: {"error": "no"})
    with pytest.raises(SystemExit, match=OWNER):
        database.score(one.pk)


def test_a_crash_is_seen_by_what_it_empties(one: Community) -> None:
    url = database_url()
    rows.stamps(OWNER, "Google", "Ens")
    database.score(one.pk)
    assert not database.lost_what_was_kept(url)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE scorer_fast_keptreading")
    assert database.lost_what_was_kept(url)
