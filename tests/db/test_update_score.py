"""What a rescored address waits for: a changed score for the disk, one that says the same for nothing."""

from typing import Any

import pytest
from django.db import connection, transaction

from api.account.models import Community
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.scoring import write as writing
from scorer_fast.scoring.score import internal_score
from tests.factories import rows

OWNER = rows.OWNER


def synchronous_commit_after(monkeypatch: pytest.MonkeyPatch, community: Community, *, awaited: bool) -> str:
    """The setting that the transaction of a rescoring ends with, having begun with ``on``."""
    real = writing.scores.update_score

    def update_score(*arguments: Any, **named: Any) -> bool:
        return real(*arguments, **named | {"awaited": awaited})

    monkeypatch.setattr(writing.scores, "update_score", update_score)
    monkeypatch.setattr(writing, "in_transaction", lambda alias: False)  # else more than this statement is sent
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO on")
        internal_score(community.pk, OWNER)
        cursor.execute("SHOW synchronous_commit")
        (setting,) = cursor.fetchone()
    return str(setting)


@pytest.fixture
def scored(one: Community) -> Community:
    rows.stamps(OWNER, "Google")
    internal_score(one.pk, OWNER)
    return one


def test_a_score_that_says_the_same_does_not_wait(monkeypatch: pytest.MonkeyPatch, scored: Community) -> None:
    assert synchronous_commit_after(monkeypatch, scored, awaited=False) == "off"


def test_where_every_score_is_awaited_it_waits(monkeypatch: pytest.MonkeyPatch, scored: Community) -> None:
    assert synchronous_commit_after(monkeypatch, scored, awaited=True) == "on"


def test_a_score_that_changed_waits(monkeypatch: pytest.MonkeyPatch, scored: Community) -> None:
    BinaryWeightedScorer.objects.filter(pk=scored.scorer_id).update(weights={"Google": "7"})
    assert synchronous_commit_after(monkeypatch, scored, awaited=False) == "on"
