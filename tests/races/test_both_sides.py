"""The host and the fast path at the same time, on the same addresses. The host takes none of our locks.

Invariant: a nullifier has one owner and one only, the fast path never fails for it, and no row is lost.
"""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.utils import timezone
from pytest_django import Settings

from api.ceramic_cache.models import CeramicCache
from api.demo_issuer import Claim, sign_credential
from api.registry.models import Event, HashScorerLink, HumanPoints, Passport, Score, Stamp
from tests.host import world
from tests.host.asks import Ask
from tests.host.both_sides import ask_fast, ask_host

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.host.urls")]

logger = logging.getLogger(__name__)
ROUNDS = 15
ONE, OTHER, THIRD = world.address(1), world.address(2), world.address(3)
NAMES = world.providers(4)
MARKS = [f"v0.0.0:{name}:shared" for name in NAMES]
Job = tuple[Callable[[Ask], HttpResponse], Ask]


@pytest.fixture(autouse=True)
def community(db: None, settings: Settings) -> None:
    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.SCORER_FAST = {"BACKGROUND": False}
    weights = dict.fromkeys(NAMES, "1")
    world.make_community(world.make_account(), 1, weights, threshold="3", in_program=True)


def score(address: str) -> Ask:
    return Ask("GET", f"/v2/stamps/1/score/{address}", None, {"X-API-Key": world.API_KEY})


def post(address: str, provider: str, nullifier: str) -> Ask:
    stamp = sign_credential(address, provider, nullifiers=[nullifier])
    token = {"Authorization": f"Bearer {world.token(address)}"}
    return Ask("POST", "/ceramic-cache/stamps/bulk", [{"provider": provider, "stamp": stamp}], token)


def at_once(jobs: Sequence[Job]) -> list[int]:
    """The status of each job's answer; all start together, each on a connection of its own."""
    barrier = threading.Barrier(len(jobs))
    statuses = [0] * len(jobs)

    def run(number: int) -> None:
        side, ask = jobs[number]
        try:
            barrier.wait()
            response = side(ask)
            statuses[number] = response.status_code
            if response.status_code >= 500:
                logger.error("%s of %s: %r", side.__name__, ask.path, response.content[:500])  # shown beside a failure
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def of_fast(jobs: Sequence[Job], statuses: Sequence[int]) -> set[int]:
    return {status for (side, _), status in zip(jobs, statuses, strict=True) if side is ask_fast}


def forget_scores() -> None:
    for model in (HashScorerLink, Stamp, Score, Passport, Event, HumanPoints):
        model.objects.all().delete()


def counting() -> dict[str, set[str]]:
    """Providers of the counting stamps, by address."""
    found: dict[str, set[str]] = {ONE: set(), OTHER: set()}
    for address, provider in Stamp.objects.values_list("passport__address", "provider"):
        found[address].add(provider)
    return found


def scored(address: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(ask_fast(score(address)).content)
    return body


def assert_one_owner() -> None:
    """Each nullifier belongs to one address, and this one's stamp alone counts; the score rows say so."""
    owners = dict(HashScorerLink.objects.values_list("hash", "address"))
    assert sorted(owners) == sorted(MARKS)
    assert HashScorerLink.objects.count() == len(MARKS)
    owned = {
        address: {name for name, mark in zip(NAMES, MARKS, strict=True) if owners[mark] == address}
        for address in (ONE, OTHER)
    }
    assert counting() == owned
    for address, names in owned.items():
        row = Score.objects.get(passport__address=address)
        assert (row.status, row.error) == ("DONE", None)
        assert set(row.stamp_scores) == names
        assert {name for name, stamp in row.stamps.items() if stamp["dedup"]} == set(NAMES) - names


def assert_points_once() -> None:
    keys = list(HumanPoints.objects.filter(action="HKY").values_list("address", "provider"))
    assert len(keys) == len(set(keys)) == len(NAMES)


@pytest.mark.parametrize("host_has", [ONE, OTHER])
def test_new_nullifiers_have_one_owner(host_has: str) -> None:
    """One address is scored by the host, the other by the fast path, both hold the same nullifiers."""
    world.give(
        Claim(address, name, nullifiers=[mark])
        for address in (ONE, OTHER)
        for name, mark in zip(NAMES, MARKS, strict=True)
    )
    fast_has = OTHER if host_has == ONE else ONE
    jobs: list[Job] = [*[(ask_host, score(host_has))] * 2, *[(ask_fast, score(fast_has))] * 6]
    for _ in range(ROUNDS):
        forget_scores()
        assert set(at_once(jobs)) == {200}
        assert_one_owner()
        assert_points_once()


def test_both_sides_score_both_addresses() -> None:
    """The host may write a counting stamp's row twice beside another; one look later all is in order."""
    world.give(
        Claim(address, name, nullifiers=[mark])
        for address in (ONE, OTHER)
        for name, mark in zip(NAMES, MARKS, strict=True)
    )
    jobs: list[Job] = [(side, score(address)) for side in (ask_host, ask_fast) for address in (ONE, OTHER)]
    for _ in range(ROUNDS):
        forget_scores()
        statuses = at_once(jobs)
        assert of_fast(jobs, statuses) == {200}
        for address in (ONE, OTHER):
            assert scored(address)["error"] is None
        assert_one_owner()
        assert Stamp.objects.count() == len(NAMES)
        assert_points_once()


def test_expired_links_are_taken_over_by_one() -> None:
    world.give(
        Claim(address, name, nullifiers=[mark])
        for address in (ONE, OTHER)
        for name, mark in zip(NAMES, MARKS, strict=True)
    )
    jobs: list[Job] = [(ask_host, score(ONE)), *[(ask_fast, score(OTHER))] * 4]
    for _ in range(ROUNDS):
        forget_scores()
        HashScorerLink.objects.bulk_create(
            HashScorerLink(hash=mark, address=THIRD, expires_at=timezone.now(), community_id=1) for mark in MARKS
        )
        statuses = at_once(jobs)
        assert of_fast(jobs, statuses) == {200}
        # The host takes over without looking again: what it took is told at the next look.
        for address in (ONE, OTHER):
            scored(address)
        assert_one_owner()


def test_posts_of_one_provider_leave_one_live_stamp() -> None:
    """The host may fail on the other's row; the fast path does not, and the last one in stays."""
    jobs: list[Job] = [
        (ask_host, post(ONE, NAMES[0], "v0.0.0:by-host")),
        *[(ask_fast, post(ONE, NAMES[0], f"v0.0.0:by-fast-{number}")) for number in range(5)],
    ]
    for _ in range(ROUNDS):
        before = CeramicCache.objects.count()
        statuses = at_once(jobs)
        assert of_fast(jobs, statuses) == {201}
        live = CeramicCache.objects.filter(address=ONE, deleted_at__isnull=True)
        added = CeramicCache.objects.count() - before
        # A host that failed had already deleted what it could not replace.
        assert live.count() == 1 or (statuses[0] == 500 and live.count() == 0)
        assert added >= statuses.count(201)
        assert set(scored(ONE)["stamps"]) == set(live.values_list("provider", flat=True))


def test_a_post_is_not_undone_by_the_host_scoring() -> None:
    """New stamps come in through the fast path while the host scores: all of them are there at the end."""
    for number in range(ROUNDS):
        forget_scores()
        CeramicCache.objects.all().delete()
        jobs: list[Job] = [(ask_host, score(ONE))]
        jobs += [(ask_fast, post(ONE, name, f"v0.0.0:{name}:{number}")) for name in NAMES]
        statuses = at_once(jobs)
        assert of_fast(jobs, statuses) == {201}
        assert CeramicCache.objects.filter(address=ONE, deleted_at__isnull=True).count() == len(NAMES)
        assert scored(ONE)["score"] == f"{len(NAMES)}.00000"
        assert counting()[ONE] == set(NAMES)
