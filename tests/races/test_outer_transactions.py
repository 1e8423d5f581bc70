"""Inside a transaction of the caller's: ``ATOMIC_REQUESTS``, ``atomic`` and a ``TestCase``."""

from collections import Counter
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase

from api.account.models import Community
from api.demo_issuer import Claim
from scorer_fast.scoring import service as scoring
from scorer_fast.scoring import write
from tests.factories import rows, tables
from tests.factories.requests import INTERNAL, Request, entry, good
from tests.factories.rows import OWNER, RIVAL
from tests.host import world
from tests.races.together import crew


def score(address: str) -> Request:
    return Request("GET", f"/internal/score/v2/1/{address}", headers=INTERNAL)


@pytest.mark.django_db(transaction=True)
class TestOutside:
    def test_a_rollback_takes_everything_along(self, one: Community) -> None:
        rows.stamps(OWNER, "Google")
        before = tables.state()
        with transaction.atomic():
            assert good("internal_score").send().status_code == 200
            assert good("internal_score").send().status_code == 200
            assert good("cache_add_stamps").send().status_code == 201
            assert tables.rows("registry_score")
            transaction.set_rollback(True)
        assert tables.state() == before

    def test_a_commit_keeps_everything(self, one: Community) -> None:
        rows.stamps(OWNER, "Google")
        with transaction.atomic():
            assert good("internal_score").send().status_code == 200
        assert len(tables.rows("registry_score")) == 1
        with transaction.atomic():
            assert good("internal_score").send().status_code == 200
            assert good("internal_score").with_(path="/internal/score/v2/1/nobody").send().status_code == 400
        assert len(tables.rows("registry_event")) == 2

    def test_what_was_lost_inside_is_decided_again_inside(
        self, one: Community, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another connection claims between this one's read and write: only the savepoint is rolled back."""
        world.give(Claim(owner, "Google", ["v0:shared"]) for owner in (OWNER, RIVAL))
        attempts = []
        with crew(1) as other:

            def late(run: Any, plan: Any, checked: Any) -> Any:
                if plan.address == OWNER:
                    attempts.append(plan)
                    if len(attempts) == 1:
                        assert other.together([score(RIVAL).send])[0].status_code == 200
                return write.write(run, plan, checked)

            monkeypatch.setattr(scoring, "write_plan", late)
            with transaction.atomic():
                one.description = "written before, by the caller"
                one.save()
                answer = score(OWNER).send().json()
        assert len(attempts) == 2
        assert answer["stamps"]["Google"]["dedup"] is True
        one.refresh_from_db()
        assert one.description == "written before, by the caller"

    def test_who_waits_in_the_queue_holds_no_signature(
        self, one: Community, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Else a request before it in the queue, that checked the same signatures, would wait for it in turn."""
        world.give(Claim(owner, "Google", ["v0:shared"]) for owner in (OWNER, RIVAL))
        before = []
        with crew(1) as other:

            def late(run: Any, plan: Any, checked: Any) -> Any:
                if plan.address == OWNER and not before:
                    before.extend(other.together([score(RIVAL).send]))
                return write.write(run, plan, checked)

            def score_impatiently() -> Any:
                with connection.cursor() as cursor:
                    cursor.execute("SET lock_timeout = '1s'")
                return score(OWNER).send()

            def attempt(run: Any, address: str, community_id: int | None) -> Any:
                if community_id is not None and len(before) == 1:
                    before.extend(other.together([score_impatiently]))
                return write.attempt(run, address, community_id)

            monkeypatch.setattr(scoring, "write_plan", late)
            monkeypatch.setattr(scoring, "attempt", attempt)
            with transaction.atomic():
                answer = score(OWNER).send()
        assert [response.status_code for response in [*before, answer]] == [200, 200, 200]
        assert not [record for record in caplog.records if "remembered" in record.message]
        assert len(tables.rows("scorer_fast_verifiedcredential")) == 2

    def test_atomic_requests(self, one: Community, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        world.give(
            Claim(owner, provider, [f"v0:{provider}"])
            for owner in (OWNER, RIVAL)
            for provider in ("Google", "Ens", "Github")
        )
        posts = [
            good("cache_add_stamps", owner).with_(body=[entry("NFT", owner, nullifiers=["v0:NFT"])])
            for owner in (OWNER, RIVAL)
        ]
        requests = [*posts, *(score(owner) for owner in (OWNER, RIVAL) for _ in range(3))]
        with crew(8) as threads:
            for _ in range(5):
                found = threads.together([request.send for request in requests])
                assert Counter(response.status_code for response in found) == {200: 6, 201: 2}
        links = {row["hash"]: row["address"] for row in tables.rows("registry_hashscorerlink")}
        assert set(links) == {"v0:Google", "v0:Ens", "v0:Github", "v0:NFT"}
        counted = [row["credential"]["credentialSubject"]["nullifiers"][0] for row in tables.rows("registry_stamp")]
        assert sorted(counted) == sorted(links)
        assert len(tables.rows("registry_score")) == 2


class InATestCase(TestCase):
    """Django's own TestCase, as the host's suite has them."""

    def setUp(self) -> None:
        rows.world_of_one()

    def test_scores_and_posts(self) -> None:
        with self.settings(CERAMIC_CACHE_SCORER_ID="1"):
            assert good("internal_score").send(self.client).status_code == 200
            assert good("cache_add_stamps").send(self.client).status_code == 201
            answer = good("internal_score").send(self.client).json()
        assert answer["score"] == "1.50000"
        assert len(tables.rows("registry_event")) == 3

    def test_leaves_nothing_to_the_next(self) -> None:
        assert tables.rows("registry_event") == []
        assert good("internal_score").send(self.client).status_code == 200
