"""Every statement of scoring and of the look-ups is run here, and what only a race would make of it.

The statements of flags, figures, rescoring and the commands are run by those parts' own tests.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import HumanPoints, HumanPointsCommunityQualifiedUsers
from scorer_fast.domain.dedup import ChangedLink, NewLink
from scorer_fast.domain.points import Awards, PointsRead, PointsRow
from scorer_fast.errors import Changed
from scorer_fast.http.call import rehearse
from scorer_fast.operations import scoring, signatures, write
from scorer_fast.sql import kept, links, passports, points, scores, stamps, verified
from tests.factories import rows, tables
from tests.factories.requests import Request, good, key
from tests.factories.rows import FAR, OWNER, PAST, RIVAL
from tests.guards.statements import constants, sent

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
FAMILIES = {
    "api_keys",
    "communities",
    "effects",
    "kept",
    "links",
    "lookups",
    "passports",
    "points",
    "scores",
    "scoring",
    "stamps",
    "verified",
}


def score(community_id: int = 1, owner: str = OWNER) -> Request:
    request = good("internal_score", owner)
    return request.with_(path=f"/internal/score/v2/{community_id}/{owner}")


def answered(*requests: Request) -> None:
    for request in requests:
        assert request.send().status_code < 500


def test_every_statement_is_run(one: Community, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.HUMAN_POINTS_MTA_ENABLED = True
    settings.FF_API_ANALYTICS = "on"
    settings.SCORER_FAST = {**settings.SCORER_FAST, "PRUNE_EVERY_SECONDS": 1}
    rows.community(one.account, 2, {"Ens": "30"}, in_program=True)
    rows.api_key(one.account, "oldkey01.secret", "sha512")
    rows.listed("MetaMaskOG2", OWNER)
    rows.ruleset("Custom", {})
    rows.stamps(OWNER, "Ens", "Github", nullifiers=["v0:expired"])
    rows.link("v0:expired", RIVAL, PAST)
    with sent() as names:
        monkeypatch.setattr(signatures, "_next_prune", 0.0)
        for operation in (
            *("embed_validate_api_key", "embed_weights", "check_bans", "check_revocations", "allow_list"),
            *("credential_definition", "gtc_stake", "legacy_gtc_stake", "contributor_statistics", "cache_get_stamps"),
        ):
            answered(good(operation), good(operation))
        answered(score(2), score(2), score(2), good("cache_get_score"), good("cache_add_stamps"), good("v2_score"))
        answered(good("cache_get_stamps"), score(1).with_(path="/internal/score/v2/1/nobody"))
        answered(good("v2_score").with_(headers=key("oldkey01.secret")))
        lost_once(monkeypatch)
        answered(score(2))
        settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 1}
        with monkeypatch.context() as forged:
            forged.setattr(signatures.verifier, "verify", lambda texts, timeout: [False] * len(texts))
            answered(score(2))
        path = good("v2_score").path
        request = RequestFactory().get(path, headers={"X-API-Key": rows.API_KEY})
        rehearse(request).decide(datetime.now(UTC)).read_rows()
    expected = {name.partition(".")[2] for name in constants() if name.partition(".")[0] in FAMILIES}
    never = sorted(expected - set(names))
    assert not never, f"never run: {', '.join(never)}"


def lost_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write finds that the world moved, and is decided again in the queue."""
    real, lost = write.write, []

    def losing(alias: str, plan: Any) -> Any:
        if not lost:
            lost.append(plan)
            raise Changed
        return real(alias, plan)

    monkeypatch.setattr(scoring, "write", losing)


# ---- what only a race makes of them


def link_rows() -> list[tuple[str, str]]:
    return [(row["hash"], row["address"]) for row in tables.rows("registry_hashscorerlink")]


def test_claims_say_when_one_of_them_is_lost(one: Community) -> None:
    rows.link("n2", RIVAL)
    claims = [NewLink(name, OWNER, FAR) for name in ("n1", "n2")]
    assert not links.insert_links("default", 1, claims)
    assert link_rows() == [("n2", RIVAL), ("n1", OWNER)], "the caller rolls back"
    assert links.insert_links("default", 1, [NewLink("n3", OWNER, FAR)])
    assert links.insert_links("default", 1, [])


@pytest.mark.parametrize(
    ("seen", "good_"),
    [
        ((RIVAL, PAST), True),
        ((OWNER, PAST), False),
        ((RIVAL, FAR), False),
        ((RIVAL, PAST + timedelta(microseconds=1)), False),
    ],
)
def test_links_change_only_as_they_were_read(seen: tuple[str, datetime], good_: bool, one: Community) -> None:
    rows.link("n1", RIVAL, PAST)
    assert links.update_links("default", 1, OWNER, [ChangedLink("n1", *seen, FAR)]) is good_
    assert link_rows() == [("n1", OWNER if good_ else RIVAL)]


def test_a_link_of_another_community_is_another_link(one: Community) -> None:
    rows.community(one.account, 2)
    rows.link("n1", RIVAL, PAST)
    assert not links.update_links("default", 2, OWNER, [ChangedLink("n1", RIVAL, PAST, FAR)])
    assert links.insert_links("default", 2, [NewLink("n1", OWNER, FAR)])


def test_a_passport_is_created_once(one: Community) -> None:
    first = passports.insert_passport("default", OWNER, 1)
    assert first is not None
    assert passports.insert_passport("default", OWNER, 1) is None
    assert passports.lock_passport("default", first) == first
    assert passports.lock_passport("default", first + 1) is None
    assert passports.lock_passport_of("default", OWNER, 1) == first
    assert passports.lock_passport_of("default", RIVAL, 1) is None
    assert scores.lock_score("default", first) is None


def test_counting_stamps_are_copied_only_while_they_are_there(one: Community) -> None:
    (stamp,) = rows.stamps(OWNER, "Google")
    passport_id = passports.insert_passport("default", OWNER, 1)
    assert passport_id is not None
    assert stamps.replace_stamps("default", passport_id, gone=[], cache_ids=[stamp.pk])
    (copied,) = tables.rows("registry_stamp")
    assert (copied["provider"], copied["credential"]) == ("Google", stamp.stamp)
    assert not stamps.replace_stamps("default", passport_id, gone=[], cache_ids=[stamp.pk, stamp.pk + 1])


AWARD = Awards(True, (PointsRow("HKY", "Google", "t", 0), PointsRow("MM2", "", "", 0)))


def known(*earlier: PointsRow, communities: frozenset[int] = frozenset()) -> PointsRead:
    return PointsRead(earlier, communities, frozenset(), False, {}, 1)


@pytest.mark.parametrize(
    ("prepare", "limit", "written"),
    [
        (lambda: None, 1, True),
        (lambda: None, 0, False),
        (lambda: award(RIVAL, "MM2"), 1, False),
        (lambda: award(RIVAL, "MM2"), 2, True),
        (lambda: award(OWNER, "SOG"), 1, False),
        (lambda: rows.community(Community.objects.get(pk=1).account, 2) and qualify(2), 1, False),
    ],
    ids=["as read", "cap reached", "cap reached by another", "cap not reached", "a new award", "a new community"],
)
def test_awards_are_written_only_as_they_were_decided(
    prepare: Callable[[], Any], limit: int, written: bool, one: Community
) -> None:
    prepare()
    before = tables.rows("registry_humanpoints")
    points.lock_points("default", OWNER, metamask=True)
    assert points.insert_awards("default", OWNER, 1, AWARD, known(), NOW, limit=limit) is written
    new = len(tables.rows("registry_humanpoints")) - len(before)
    assert new == (2 if written else 0), "all together or none"


def award(owner: str, action: str) -> None:
    HumanPoints.objects.create(address=owner, action=action)


def qualify(community_id: int) -> None:
    HumanPointsCommunityQualifiedUsers.objects.create(address=OWNER, community_id=community_id)


STALE: list[Callable[[], Any]] = [
    lambda: rows.stamps(OWNER, "New"),
    lambda: CeramicCache.objects.filter(provider="Google").delete(),
    lambda: CeramicCache.objects.filter(provider="Google").update(deleted_at=NOW),
    lambda: CeramicCache.objects.filter(provider="Google").update(updated_at=FAR),
    lambda: rows.revoked(CeramicCache.objects.get(provider="Google")),
    lambda: good("internal_score").send(),
]


@pytest.mark.parametrize(
    "change", STALE, ids=["a new stamp", "removed", "deleted", "updated", "revoked", "scored by another"]
)
@pytest.mark.parametrize("first", [True, False], ids=["first score", "later score"])
def test_a_score_is_stored_only_while_what_was_read_is_so(
    change: Callable[[], Any], first: bool, one: Community, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change comes between read and write; the stale decision is dropped and made again."""
    rows.stamps(OWNER, "Google", "Ens")
    if not first:
        good("internal_score").send()
    real, plans = write.write, []

    def late(alias: str, plan: Any) -> Any:
        plans.append(plan)
        if len(plans) == 1:
            monkeypatch.setattr(scoring, "write", real)
            change()
            monkeypatch.setattr(scoring, "write", late)
        return real(alias, plan)

    monkeypatch.setattr(scoring, "write", late)
    answer = good("internal_score").send().json()
    assert len(plans) == 2
    live = {row.provider for row in CeramicCache.objects.filter(deleted_at=None, revocation=None)}
    assert set(answer["stamps"]) == live
    assert {row["provider"] for row in tables.rows("registry_stamp")} == live


def test_verified_signatures_are_remembered_and_forgotten() -> None:
    digests = ["00" * 32, "11" * 32]
    assert verified.upsert_verified("default", digests, [FAR, PAST], NOW) == 2
    assert verified.upsert_verified("default", digests[:1], [FAR], NOW) == 1
    assert verified.delete_expired("default", NOW, batch=1) == 1
    assert verified.delete_verified("default", [*digests, "22" * 32]) == 1
    assert verified.delete_expired("default", FAR + timedelta(days=1)) == 0


def test_kept_readings_go_in_batches(one: Community) -> None:
    for number in range(3):
        owner = rows.address(number)
        rows.stamps(owner, "Google")
        answered(score(1, owner), score(1, owner))
    assert len(tables.rows("scorer_fast_keptreading", "passport_id")) == 3
    later = datetime.now(UTC) + timedelta(days=1)
    assert kept.delete_kept("default", later, batch=2) == 2
    assert kept.delete_kept("default", later, batch=2) == 1
