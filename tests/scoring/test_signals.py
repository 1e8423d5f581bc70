"""The scoring event: what it says, that it is sent once what it says is committed, and never otherwise."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client

from api.registry.models import Score
from scorer_fast.scoring.signals import scored
from tests.factories import rows
from tests.factories.rows import OWNER
from tests.factories.scoring import score

OTHER = "0x" + "0e" * 20
Events = list[dict[str, Any]]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard() -> Iterator[Events]:
    """What a receiver hears."""
    events: Events = []

    def hear(event: dict[str, Any], **_: Any) -> None:
        assert not connection.in_atomic_block  # it is committed
        events.append(json.loads(json.dumps(event)))

    scored.connect(hear)
    yield events
    scored.disconnect(hear)


def test_what_counts_and_what_does_not(heard: Events) -> None:
    rows.world_of_one()
    mine = rows.stamps(OWNER, "Google", "Ens")
    nullifiers = {stamp.provider: stamp.stamp["credentialSubject"]["nullifiers"] for stamp in mine}
    rows.link(nullifiers["Ens"][0], OTHER)
    answer = score()
    [event] = heard
    counting, weight = answer["stamps"]["Google"], answer["score"]
    stored = Score.objects.get()
    assert event == {
        "version": 1,
        "address": OWNER,
        "community_id": 1,
        "scored_at": stored.last_score_timestamp.isoformat(),
        "score": str(int(stored.score)),
        "raw_score": stored.evidence["rawScore"],
        "threshold": stored.evidence["threshold"],
        "expires_at": stored.expiration_date.isoformat(),
        "stamps": [
            {
                "provider": "Google",
                "nullifiers": nullifiers["Google"],
                "weight": weight,
                "expires_at": datetime.fromisoformat(counting["expiration_date"]).astimezone(UTC).isoformat(),
            }
        ],
        "deduplicated": [
            {
                "provider": "Ens",
                "nullifiers": nullifiers["Ens"],
                "weight": "0.00000",
                "expires_at": datetime.fromisoformat(answer["stamps"]["Ens"]["expiration_date"])
                .astimezone(UTC)
                .isoformat(),
            }
        ],
    }
    score()  # steady: scored again, and told again
    assert [each["stamps"] for each in heard] == [event["stamps"]] * 2


def test_an_address_without_stamps(heard: Events) -> None:
    rows.world_of_one()
    score()
    assert [(each["score"], each["raw_score"], each["expires_at"], each["stamps"]) for each in heard] == [
        ("0", "0", None, [])
    ]


def test_a_callers_transaction_tells_when_it_commits(heard: Events) -> None:
    rows.world_of_one()
    with transaction.atomic():
        score()
        assert not heard
    assert len(heard) == 1
    with transaction.atomic():
        score()
        transaction.set_rollback(True)
    assert len(heard) == 1


def test_a_receiver_that_raises_stops_nobody(heard: Events, caplog: pytest.LogCaptureFixture) -> None:
    def fail(**_: Any) -> None:
        raise LookupError("the queue is away")

    rows.world_of_one()
    scored.connect(fail)
    try:
        assert Client().get(f"/internal/embed/score/1/{OWNER}").status_code == 200
    finally:
        scored.disconnect(fail)
    assert len(heard) == 1
    assert "a receiver of a scoring failed" in caplog.text


def test_a_bulk_rescoring_tells_of_what_it_wrote(heard: Events) -> None:
    rows.world_of_one()
    rows.stamps(OWNER, "Google")
    for owner in (OWNER, OTHER):
        score(owner)
    heard.clear()
    call_command("scorer_fast", "rescore", "--scorer", "1")
    assert sorted(each["address"] for each in heard) == sorted([OWNER, OTHER])
    heard.clear()
    call_command("scorer_fast", "rescore", "--scorer", "1", "--only-changed")
    assert heard == []


def test_a_stored_answer_tells_nothing(heard: Events, host_settings: Any) -> None:
    from tests.factories.requests import good

    rows.world_of_one()
    score()
    heard.clear()
    assert good("cache_get_score").send().status_code == 200
    assert heard == []


def test_without_a_receiver_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plan: Any) -> Callable[[], None]:
        raise AssertionError("nobody asked for it")

    monkeypatch.setattr("scorer_fast.scoring.signals.scoring_event", fail)
    monkeypatch.setattr(transaction, "on_commit", fail)
    rows.world_of_one()
    assert score()["address"] == OWNER
