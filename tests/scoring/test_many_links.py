"""An address has most links itself: they are read together, and only so many; what is beyond is found by nullifier."""

import pytest

from api.account.models import Community
from api.registry.models import HashScorerLink
from scorer_fast.scoring import rescore
from tests.factories import rows
from tests.factories.requests import good
from tests.factories.rows import FAR, OWNER, RIVAL

pytestmark = pytest.mark.django_db
MANY = 450  # more than are read at once


@pytest.fixture(autouse=True)
def communities(one: Community) -> None:
    rows.community(one.account, 2)


def links_elsewhere() -> None:
    HashScorerLink.objects.bulk_create(
        HashScorerLink(hash=f"v0.0.0:{number}", address=OWNER, expires_at=FAR, community_id=2) for number in range(MANY)
    )


def own_links() -> list[tuple[str, str]]:
    return list(HashScorerLink.objects.filter(community_id=1).order_by("hash").values_list("hash", "address"))


@pytest.mark.parametrize("comes_late", [False, True])
def test_an_address_with_links_in_many_communities(comes_late: bool) -> None:
    stamps = rows.stamps(OWNER, "Google", "Ens", "Github")
    taken = stamps[2].stamp["credentialSubject"]["nullifiers"][0]
    rows.link(taken, RIVAL)
    if not comes_late:
        links_elsewhere()
    first = good("internal_score").send().json()["stamps"]
    assert {name: stamp["dedup"] for name, stamp in first.items()} == {"Google": False, "Ens": False, "Github": True}
    known = own_links()
    assert (len(known), dict(known)[taken]) == (3, RIVAL)
    if comes_late:
        links_elsewhere()
    assert good("internal_score").send().json()["stamps"] == first
    ended = rescore.work(rescore.begin(1, only_changed=False), lambda step: None)
    assert (ended.scored, ended.failed) == (1, 0)
    assert good("internal_score").send().json()["stamps"] == first
    assert own_links() == known
