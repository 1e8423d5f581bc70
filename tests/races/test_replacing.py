"""Scoring while stamps are being replaced: the final score is always that of the final stamps."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from api.account.models import Community
from tests.factories import rows, tables
from tests.factories.requests import INTERNAL, Request, entry, good
from tests.factories.rows import OWNER
from tests.races.together import crew

pytestmark = pytest.mark.django_db(transaction=True)
WEIGHTS = {"Ens": "1", "Github": "2", "Google": "4", "NFT": "8"}


@pytest.fixture
def community() -> Community:
    return rows.community(rows.world.make_account(), 1, WEIGHTS, threshold="8")


def live() -> dict[str, Any]:
    found = tables.rows("ceramic_cache_ceramiccache", deleted_at=None)
    assert len({row["provider"] for row in found}) == len(found)
    return {row["provider"]: row["stamp"] for row in found}


def assert_settled(community_id: int = 1) -> None:
    """What is stored says what the live stamps say."""
    stamps = live()
    (passport,) = tables.rows("registry_passport", community_id=community_id)
    (score,) = tables.rows("registry_score", passport_id=passport["id"])
    expected = sum(int(WEIGHTS[provider]) for provider in stamps)
    assert score["evidence"]["rawScore"] == str(expected)
    assert score["score"] == (1 if expected >= 8 else 0)
    assert set(score["stamps"]) == set(stamps)
    counting = tables.rows("registry_stamp", passport_id=passport["id"])
    assert len(counting) == len(stamps), "a stamp counts once"
    assert {row["provider"]: row["credential"] for row in counting} == stamps


def statuses(requests: list[Request]) -> list[int]:
    return [request.send().status_code for request in requests]


def in_turn(requests: list[Request]) -> Callable[[], list[int]]:
    return lambda: statuses(requests)


def test_posts_and_deletions_among_scorings(community: Community) -> None:
    """Each round one thread changes stamps while five score; nobody scores after it."""
    post, delete = good("cache_add_stamps"), good("cache_delete_stamps")
    patch = good("cache_patch_stamps")
    rounds: list[list[Request]] = [
        [post.with_(body=[entry("Google"), entry("NFT")]), delete.with_(body=[{"provider": "Google"}])],
        [patch.with_(body=[entry("Google"), {"provider": "NFT"}]), post.with_(body=[entry("Ens")])],
        [post.with_(body=[entry("Google")]), post.with_(body=[entry("Google", nullifiers=["v0:new"])])],
        [delete.with_(body=[{"provider": "Google"}, {"provider": "Ens"}])],
        [good("embed_add_stamps").with_(body={"scorer_id": 1, "stamps": [entry("NFT")["stamp"]]}), post],
        [patch.with_(body=[{"provider": "Google"}]), post.with_(body=[entry("Github")])],
    ] * 3
    score = good("internal_score")
    calc, embed = good("cache_calc_score"), good("embed_score")
    with crew(6) as threads:
        for changes in rounds:
            others = [in_turn([request] * 4) for request in (score, score, calc, embed, score)]
            found = threads.together([in_turn(changes), *others])
            assert {status for each in found for status in each} <= {200, 201}
            assert_settled()


def test_a_deletion_wins_over_scorings_that_began_before_it(community: Community) -> None:
    post, score = good("cache_add_stamps"), good("internal_score")
    delete = good("cache_delete_stamps")
    with crew(8) as threads:
        for _ in range(10):
            assert post.send().status_code == 201
            found = threads.together([in_turn([delete]), *[in_turn([score, score])] * 7])
            assert {status for each in found for status in each} == {200}
            assert_settled()
            assert tables.rows("registry_stamp") == []


def test_eight_posts_of_one_provider(community: Community) -> None:
    posts = [good("cache_add_stamps").with_(body=[entry("Google", nullifiers=[f"v0:{n}"])]) for n in range(8)]
    with crew(8) as threads:
        for round_ in range(1, 6):
            found = threads.together([post.send for post in posts])
            assert Counter(response.status_code for response in found) == {201: 8}
            stored = tables.rows("ceramic_cache_ceramiccache", "deleted_at")
            assert len(stored) == 8 * round_, "no posted stamp is lost"
            assert [row["deleted_at"] for row in stored].count(None) == 1
            assert_settled()


def test_posts_of_one_provider_for_several_communities(community: Community) -> None:
    """Their passports differ: it is the address's stamps they meet at."""
    for number in (2, 3, 4):
        rows.community(community.account, number, WEIGHTS, threshold="8")
    path = f"/internal/embed/stamps/{OWNER}"
    posts = [
        Request("POST", path, {"scorer_id": 1 + number % 4, "stamps": [entry("Google")["stamp"]]}, INTERNAL)
        for number in range(8)
    ]
    with crew(8) as threads:
        for round_ in range(1, 6):
            found = threads.together([post.send for post in posts])
            assert Counter(response.status_code for response in found) == {200: 8}
            stored = tables.rows("ceramic_cache_ceramiccache", "deleted_at")
            assert len(stored) == 8 * round_
            assert [row["deleted_at"] for row in stored].count(None) == 1
            assert len(tables.rows("registry_score")) == 4


def test_posts_are_not_starved_by_a_stream_of_scorings(community: Community) -> None:
    posts = [good("cache_add_stamps")] * 6
    done: list[bool] = []

    def post() -> list[int]:
        try:
            return statuses(posts)
        finally:
            done.append(True)

    def stream() -> list[int]:
        found = []
        while not done:
            found.append(good_score.send().status_code)
        return found

    good_score = good("internal_score")
    with crew(5) as threads:
        posted, *streams = threads.together([post, stream, stream, stream, stream])
    assert posted == [201] * 6
    assert {status for each in streams for status in each} == {200}
    assert_settled()


def test_a_stored_score_is_never_older_than_its_answer(community: Community) -> None:
    """Who was told of a score finds it, or a newer one."""
    rows.stamps(OWNER, "Ens")
    score = good("internal_score")
    with crew(8) as threads:
        for _ in range(5):
            found = threads.together([score.send] * 8)
            told = [datetime.fromisoformat(response.json()["last_score_timestamp"]) for response in found]
            (stored,) = tables.rows("registry_score", "last_score_timestamp")
            assert datetime.fromisoformat(stored["last_score_timestamp"]) >= max(told)
