"""Human points under races: what no constraint of the schema holds."""

from collections import Counter

import pytest
from pytest_django import Settings

from api.account.models import Community
from api.demo_issuer import Claim
from scorer_fast.scoring import read, write
from tests.factories import rows, tables
from tests.factories.requests import INTERNAL, Request, entry
from tests.factories.rows import OWNER
from tests.host import world
from tests.races.together import crew

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def program(settings: Settings) -> Community:
    settings.HUMAN_POINTS_MTA_ENABLED = True
    account = world.make_account()
    made = [
        rows.community(account, number, {"Biometrics": "30", "Ens": "30"}, in_program=True) for number in range(1, 6)
    ]
    rows.points_config()
    return made[0]


def score(address: str, community_id: int = 1) -> Request:
    return Request("GET", f"/internal/score/v2/{community_id}/{address}", headers=INTERNAL)


def all_good(responses: list) -> None:  # type: ignore[type-arg]
    assert {response.status_code for response in responses} == {200}


def actions(owner: str | None = None) -> Counter[str]:
    return Counter(row["action"] for row in tables.rows("registry_humanpoints") if owner in (None, row["address"]))


def test_one_key_ever_over_two_communities() -> None:
    """Posted with another nullifier each time: the unique constraint alone would let them all in."""
    for round_ in range(6):
        owner = rows.address(0xE000 + round_)
        posts = [
            Request(
                "POST",
                f"/internal/embed/stamps/{owner}",
                {
                    "scorer_id": 1 + number % 2,
                    "stamps": [entry("Biometrics", owner, nullifiers=[f"v0:{round_}:{number}"])["stamp"]],
                },
                INTERNAL,
            )
            for number in range(8)
        ]
        with crew(8) as threads:
            all_good(threads.together([post.send for post in posts]))
        assert actions(owner) == {"HKY": 1, "HBI": 1}
        qualified = tables.rows("registry_humanpointscommunityqualifiedusers", address=owner)
        assert sorted(row["community_id"] for row in qualified) == [1, 2]


def test_the_bonus_once_at_four_communities() -> None:
    with crew(10) as threads:
        for round_ in range(6):
            owner = rows.address(0xF000 + round_)
            rows.stamps(owner, "Ens")
            all_good(threads.together([score(owner, 1 + number % 5).send for number in range(10)]))
            assert actions(owner) == {"HKY": 1, "SCB": 1}
            qualified = tables.rows("registry_humanpointscommunityqualifiedusers", address=owner)
            assert sorted(row["community_id"] for row in qualified) == [1, 2, 3, 4, 5]


def test_no_bonus_at_three() -> None:
    rows.stamps(OWNER, "Ens")
    with crew(9) as threads:
        all_good(threads.together([score(OWNER, 1 + number % 3).send for number in range(9)]))
    assert actions(OWNER) == {"HKY": 1}


@pytest.mark.parametrize("before", [0, 3])
def test_the_cap_of_metamask_awards(before: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, count = 5, 14
    monkeypatch.setattr(write, "METAMASK_LIMIT", limit)
    monkeypatch.setattr(read, "METAMASK_LIMIT", limit)
    owners = [rows.address(0x9000 + number) for number in range(count)]
    rows.listed("MetaMaskOG2", *owners)
    rows.listed("TheChosenOnes", *owners)
    world.give(Claim(owner, "Ens") for owner in owners)
    with crew(count) as threads:
        for owner in owners[:before]:
            all_good(threads.together([score(owner).send]))
        all_good(threads.together([score(owner).send for owner in owners]))
        assert actions()["MM2"] == limit
        all_good(threads.together([score(owner, 2).send for owner in owners]))
    found = actions()
    assert (found["MM2"], found["TCO"], found["HKY"]) == (limit, count, count)
    assert max(actions(owner)["MM2"] for owner in owners) == 1
