"""What only a race would make of a write, and what it waits for: the function in the database, tried by itself."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import HumanPoints, HumanPointsCommunityQualifiedUsers
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.db.connection import fetch_one, sqlstate
from scorer_fast.models import VerifiedCredential
from scorer_fast.scoring import service
from scorer_fast.scoring.write import CLAIM_LOST, NO_LONGER_SO, WRITE_SCORING
from tests.factories import rows, tables
from tests.factories.requests import good
from tests.factories.rows import FAR, OWNER, PAST, RIVAL
from tests.factories.scoring import plan_text, reading, score

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def write(**changes: Any) -> tuple[int, list[int]]:
    """Write a first score of ``OWNER``, who has no stamps, save for ``changes``: passport, ids of posted stamps."""
    plan: dict[str, Any] = {
        "passport_id": None, "score_id": None, "community_id": 1, "address": OWNER, "now": NOW,
        "only_the_score": False, "live": "", "last_score_timestamp": None, "replaced": [], "posted": [],
        "source_app": None, "source_scorer_id": None, "new_links": [], "changed_links": [], "gone": [], "counting": [],
        "awards": None, "score": 0, "expiration_date": None, "dedup_events": [],
        "event": {"pk": None, "fields": {"evidence": {}, "stamp_scores": {}, "stamps": {}}},
        "verified": [], "forgotten": [], "kept": None,
    }  # fmt: skip
    row = fetch_one("default", WRITE_SCORING, {"plan": json.dumps(plan | changes, default=str)})
    assert row is not None
    return row[0], row[1]


def state_of(**changes: Any) -> str | None:
    """The SQLSTATE the write ends with, None where it succeeds; nothing is left of one that failed."""
    before = everything()
    try:
        write(**changes)
    except DatabaseError as error:
        assert everything() == before
        return sqlstate(error)
    return None


def everything() -> dict[str, list[dict[str, Any]]]:
    names = ("registry_passport", "registry_hashscorerlink", "registry_stamp", "registry_score", "registry_event",
             "registry_humanpoints", "ceramic_cache_ceramiccache")  # fmt: skip
    return {name: tables.rows(name) for name in names}


def link_rows() -> list[tuple[str, str]]:
    return [(row["hash"], row["address"]) for row in tables.rows("registry_hashscorerlink")]


# ---- claims


def test_a_claim_that_another_won_undoes_all(one: Community) -> None:
    rows.link("n2", RIVAL)
    both = [[name, OWNER, FAR] for name in ("n1", "n2")]
    assert state_of(new_links=both) == CLAIM_LOST
    assert state_of(new_links=both[:1]) is None
    assert link_rows() == [("n2", RIVAL), ("n1", OWNER)]


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
    assert state_of(changed_links=[["n1", *seen, FAR]]) == (None if good_ else CLAIM_LOST)
    assert link_rows() == [("n1", OWNER if good_ else RIVAL)]


def test_a_link_of_another_community_is_another_link(one: Community) -> None:
    rows.community(one.account, 2)
    rows.link("n1", RIVAL, PAST)
    assert state_of(community_id=2, changed_links=[["n1", RIVAL, PAST, FAR]]) == CLAIM_LOST
    assert state_of(community_id=2, new_links=[["n1", OWNER, FAR]]) is None


# ---- rows that come and go


def test_a_passport_is_created_once(one: Community) -> None:
    passport_id, _ = write()
    assert state_of() == NO_LONGER_SO, "another request created it first"
    assert state_of(passport_id=passport_id + 1) == NO_LONGER_SO, "it is gone"
    assert state_of(passport_id=passport_id) == NO_LONGER_SO, "it has a score by now"


def test_counting_stamps_are_copied_only_while_they_are_there(one: Community) -> None:
    (stamp,) = rows.stamps(OWNER, "Google")
    live = reading().token.live
    assert state_of(counting=[stamp.pk, stamp.pk + 1], live=live) == NO_LONGER_SO
    write(counting=[stamp.pk], live=live)
    (copied,) = tables.rows("registry_stamp")
    assert (copied["provider"], copied["credential"]) == ("Google", stamp.stamp)


def test_posted_stamps_replace_those_of_their_providers(one: Community) -> None:
    old, _ = rows.stamps(OWNER, "Google", "Ens")
    posted = [
        {"provider": name, "stamp": {"of": name}, "proof_value": name.lower(), "issuance_date": None,
         "expiration_date": FAR.isoformat()}
        for name in ("Google", "Github")
    ]  # fmt: skip
    _, ids = write(
        replaced=["Google", "Github"], posted=posted, source_app=2, source_scorer_id=1, counting=[-2],
        live=reading().token.live,
    )  # fmt: skip
    google, github = (CeramicCache.objects.get(pk=id_) for id_ in ids)
    assert (google.provider, google.stamp, google.proof_value) == ("Google", {"of": "Google"}, "google")
    assert (google.issuance_date, google.expiration_date) == (None, FAR)
    assert (google.source_app, google.source_scorer_id, google.compose_db_save_status) == (2, 1, "pending")
    assert (github.provider, github.stamp) == ("Github", {"of": "Github"})
    old.refresh_from_db()
    assert old.deleted_at == old.updated_at == google.created_at == google.updated_at == NOW
    assert [row["provider"] for row in tables.rows("registry_stamp")] == ["Github"]


# ---- points

AWARD = {
    "seen_rows": 0, "seen_communities": 0, "qualifies": True, "metamask_limit": 1,
    "rows": [["HKY", "Google", "t", 0], ["MM2", "", "", 0]],
}  # fmt: skip


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
    assert state_of(awards=AWARD | {"metamask_limit": limit}) == (None if written else NO_LONGER_SO)
    new = tables.rows("registry_humanpoints")[len(before) :]
    expected = [("HKY", "Google", "t", 0), ("MM2", "", "", 0)] if written else []
    assert [(row["action"], row["provider"], row["tx_hash"], row["chain_id"]) for row in new] == expected
    assert HumanPointsCommunityQualifiedUsers.objects.filter(address=OWNER, community_id=1).exists() is written


def award(owner: str, action: str) -> None:
    HumanPoints.objects.create(address=owner, action=action)


def qualify(community_id: int) -> None:
    HumanPointsCommunityQualifiedUsers.objects.create(address=OWNER, community_id=community_id)


# ---- what was read is no longer so


def in_place() -> None:
    """An edit that leaves every time alone."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ceramic_cache_ceramiccache SET stamp = stamp || '{}' WHERE provider = 'Google'")


STALE: list[Callable[[], Any]] = [
    lambda: rows.stamps(OWNER, "New"),
    lambda: CeramicCache.objects.filter(provider="Google").delete(),
    lambda: CeramicCache.objects.filter(provider="Google").update(deleted_at=NOW),
    lambda: CeramicCache.objects.filter(provider="Google").update(updated_at=FAR),
    in_place,
    lambda: rows.revoked(CeramicCache.objects.get(provider="Google")),
    lambda: score(),
]


@pytest.mark.parametrize(
    "change", STALE, ids=["a new stamp", "removed", "deleted", "updated", "in place", "revoked", "scored by another"]
)
@pytest.mark.parametrize("first", [True, False], ids=["first score", "later score"])
def test_a_score_is_stored_only_while_what_was_read_is_so(
    change: Callable[[], Any], first: bool, one: Community, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change comes between read and write; the stale decision is dropped and made again."""
    rows.stamps(OWNER, "Google", "Ens")
    if not first:
        score()
    real, plans = service.write_plan, []

    def late(run: Any, plan: Any, checked: Any) -> Any:
        plans.append(plan)
        if len(plans) == 1:
            change()
        return real(run, plan, checked)

    monkeypatch.setattr(service, "write_plan", late)
    answer = good("internal_score").send().json()
    # "scored by another" goes through the same function
    assert len(plans) == (3 if change is STALE[-1] else 2)
    live = {row.provider for row in CeramicCache.objects.filter(deleted_at=None, revocation=None)}
    assert set(answer["stamps"]) == live
    assert {row["provider"] for row in tables.rows("registry_stamp")} == live


# ---- what is remembered with it


def test_verified_signatures_are_remembered_and_forgotten(one: Community) -> None:
    digests = ["00" * 32, "11" * 32]
    passport_id, _ = write(verified=[[digests[0], FAR], [digests[1], PAST]])
    assert VerifiedCredential.objects.count() == 2
    at = tables.rows("registry_score")[0]["last_score_timestamp"]
    write(
        passport_id=passport_id, score_id=tables.rows("registry_score")[0]["id"], last_score_timestamp=at,
        verified=[[digests[0], FAR]], forgotten=[digests[1], "22" * 32],
    )  # fmt: skip
    assert [bytes(row.digest).hex() for row in VerifiedCredential.objects.all()] == digests[:1]


def test_a_signature_that_no_longer_checks_out_is_forgotten(
    one: Community, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows.stamps(OWNER, "Google")
    score()
    settings.SCORER_FAST = {**settings.SCORER_FAST, "REVERIFY_ONE_IN": 1}
    monkeypatch.setattr("scorer_fast.scoring.verifier.verify", lambda texts, timeout: [False] * len(texts))
    assert score()["stamps"] == {}
    assert not VerifiedCredential.objects.exists()
    assert "remembered signatures no longer check out" in caplog.text


# ---- what it waits for


def commits_with(*, awaited: bool = False) -> str:
    """The setting that the transaction of a scoring ends with, having begun with ``on``."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO on")
        fetch_one("default", WRITE_SCORING, {"plan": plan_text(awaited=awaited)})
        cursor.execute("SHOW synchronous_commit")
        (setting,) = cursor.fetchone()
    return str(setting)


@pytest.fixture
def scored(one: Community) -> Community:
    rows.stamps(OWNER, "Google")
    score()
    return one


def test_a_score_that_says_the_same_does_not_wait_for_the_disk(scored: Community) -> None:
    assert commits_with() == "off"


def test_where_every_score_is_awaited_it_waits(scored: Community) -> None:
    assert commits_with(awaited=True) == "on"


def test_a_score_that_changed_waits(scored: Community) -> None:
    BinaryWeightedScorer.objects.filter(pk=scored.scorer_id).update(weights={"Google": "7"})
    assert commits_with() == "on"


def test_a_caller_s_transaction_is_left_as_it_is(scored: Community) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO on")
        score()
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
