"""Two addresses, the same nullifiers, sixteen threads: one owner, no 5xx, no row lost."""

from collections import Counter
from typing import Any

import pytest

from api.account.models import Community
from api.demo_issuer import Claim
from tests.factories import rows, tables
from tests.factories.requests import INTERNAL, Request
from tests.host import world
from tests.races.together import Crew, crew

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 50
THREADS = 16
PROVIDERS = ["Ens", "Github", "Google"]


def contenders(round_: int) -> tuple[str, str]:
    return rows.address(0xA0000 + round_), rows.address(0xB0000 + round_)


def shared(round_: int) -> list[str]:
    return [f"v0:{round_}:{provider}" for provider in PROVIDERS]


def score(address: str, community_id: int = 1) -> Request:
    return Request("GET", f"/internal/score/v2/{community_id}/{address}", headers=INTERNAL)


def answers(crew: Crew, requests: list[Request]) -> list[Any]:
    responses = crew.together([request.send for request in requests])
    assert Counter(response.status_code for response in responses) == {200: len(requests)}
    return [response.json() for response in responses]


def test_sixteen_threads_of_two_addresses_fifty_rounds(one: Community) -> None:
    world.give(
        Claim(address, provider, [nullifier])
        for round_ in range(ROUNDS)
        for address in contenders(round_)
        for provider, nullifier in zip(PROVIDERS, shared(round_), strict=True)
    )
    owners: dict[str, str] = {}
    with crew(THREADS) as threads:
        for round_ in range(ROUNDS):
            pair = contenders(round_)
            found = answers(threads, [score(pair[number % 2]) for number in range(THREADS)])
            counted = {answer["address"] for answer in found if answer["score"] == "21.12300"}
            assert len(counted) == 1, "both addresses were told that they own the same nullifiers"
            assert {answer["score"] for answer in found if answer["address"] not in counted} == {"0.00000"}
            owners |= dict.fromkeys(shared(round_), counted.pop())

    links = {row["hash"]: row["address"] for row in tables.rows("registry_hashscorerlink")}
    assert links == owners
    passports = {row["id"]: row["address"] for row in tables.rows("registry_passport")}
    assert sorted(passports.values()) == sorted(address for r in range(ROUNDS) for address in contenders(r))
    scores = {passports[row["passport_id"]]: row for row in tables.rows("registry_score")}
    assert len(scores) == 2 * ROUNDS
    assert {address for address, row in scores.items() if row["score"] == 1} == set(owners.values())
    stamps = Counter(passports[row["passport_id"]] for row in tables.rows("registry_stamp"))
    assert stamps == dict.fromkeys(owners.values(), len(PROVIDERS))
    events = Counter(row["action"] for row in tables.rows("registry_event"))
    assert events["SCU"] == ROUNDS * THREADS, "an event per answer"
    assert events["LDP"] == ROUNDS * THREADS // 2 * len(PROVIDERS), "one per stamp that did not count"


def test_each_nullifier_has_one_owner_where_addresses_overlap_in_part(one: Community) -> None:
    """A ring: every address shares one nullifier with each of its neighbours."""
    size = 8
    addresses = [rows.address(0xC000 + number) for number in range(size)]
    for number, address in enumerate(addresses):
        world.give(
            [
                Claim(address, "Ens", [f"v0:{number}"]),
                Claim(address, "Google", [f"v0:{(number + 1) % size}"]),
            ]
        )
    with crew(size) as threads:
        answers(threads, [score(address) for address in addresses])
    links = {row["hash"]: row["address"] for row in tables.rows("registry_hashscorerlink")}
    assert set(links) == {f"v0:{number}" for number in range(size)}
    passports = {row["address"]: row["id"] for row in tables.rows("registry_passport")}
    counted = {
        (row["passport_id"], row["credential"]["credentialSubject"]["nullifiers"][0])
        for row in tables.rows("registry_stamp")
    }
    assert counted == {(passports[address], hash_) for hash_, address in links.items()}


def test_an_expired_link_is_taken_over_by_one(one: Community) -> None:
    addresses = [rows.address(0xD000 + number) for number in range(8)]
    rows.link("v0:old", rows.RIVAL, rows.PAST)
    world.give(Claim(address, "Ens", ["v0:old"]) for address in addresses)
    with crew(8) as threads:
        found = answers(threads, [score(address) for address in addresses])
    counted = [answer["address"] for answer in found if not answer["stamps"]["Ens"]["dedup"]]
    assert len(counted) == 1
    (link,) = tables.rows("registry_hashscorerlink")
    assert link["address"] == counted[0]


@pytest.mark.parametrize("stamps", [0, 20])
def test_sixteen_scorings_of_one_address_all_end_well(stamps: int, one: Community) -> None:
    """Steady state and first: whoever loses waits for its turn instead of losing again."""
    rows.stamps(rows.OWNER, *(f"Provider{number}" for number in range(stamps)))
    with crew(THREADS) as threads:
        for _ in range(4):
            answers(threads, [score(rows.OWNER)] * THREADS)
    assert len(tables.rows("registry_event", "id")) == 4 * THREADS
    assert len(tables.rows("registry_stamp", "id")) == stamps


def test_two_communities_share_no_nullifier(one: Community) -> None:
    """A nullifier is owned per community: the same address may own it in both, another in neither."""
    rows.community(one.account, 2)
    pair = contenders(0)
    world.give(Claim(address, "Ens", ["v0:both"]) for address in pair)
    requests = [score(pair[number % 2], 1 + number // 2 % 2) for number in range(THREADS)]
    with crew(THREADS) as threads:
        answers(threads, requests)
    links = tables.rows("registry_hashscorerlink")
    assert sorted((row["hash"], row["community_id"]) for row in links) == [("v0:both", 1), ("v0:both", 2)]
    assert {row["address"] for row in links} <= set(pair)
    assert len(tables.rows("registry_stamp", "id")) == 2
