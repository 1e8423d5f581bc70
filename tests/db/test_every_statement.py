"""Every statement of scoring and of the look-ups is run here, and what only a race would make of it.

The statements of flags, figures, rescoring and the commands are run by those parts' own tests.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.db import DatabaseError, connection, transaction
from django.test import RequestFactory
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import HumanPoints, HumanPointsCommunityQualifiedUsers, Score
from scorer_fast.db.connection import sqlstate
from scorer_fast.errors import Changed
from scorer_fast.http.call import rehearse
from scorer_fast.models import VerifiedCredential
from scorer_fast.scoring import kept, passports, scores, verified, write
from scorer_fast.scoring import service as scoring
from scorer_fast.scoring import verify as signatures
from scorer_fast.scoring.read import CLAIM_LOST, NO_LONGER_SO, ScoringWrite, Seen, write_scoring
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
    "lookups",
    "passports",
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
        settings.CERAMIC_CACHE_SCORER_ID = 999
        answered(good("cache_delete_stamps"))
    expected = {name.partition(".")[2] for name in constants() if name.partition(".")[0] in FAMILIES}
    never = sorted(expected - set(names))
    assert not never, f"never run: {', '.join(never)}"


def lost_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write finds that the world moved, and is decided again in the queue."""
    real, lost = write.write, []

    def losing(alias: str, plan: Any, *more: Any, **named: Any) -> Any:
        if not lost:
            lost.append(plan)
            raise Changed
        return real(alias, plan, *more, **named)

    monkeypatch.setattr(scoring, "write", losing)


# ---- what only a race makes of them


SEEN_NOTHING = Seen("{}", None, None)


def a_write(**changes: Any) -> ScoringWrite:
    """A first score of ``OWNER``, who has no stamps, save for ``changes``; links and awards not yet as JSON."""
    write = ScoringWrite(
        passport_id=None, score_id=None, community_id=1, address=OWNER, now=NOW,
        replaced=[], posted="[]", source_app=None, source_scorer_id=None, new_links=[], changed_links=[],
        gone=[], counting=[], awards=None, score=0, expiration_date=None, dedup_events="[]",
        score_event='{"pk": null, "fields": {"evidence": {}, "stamp_scores": {}, "stamps": {}}}',
    )._replace(**changes)  # fmt: skip
    as_json = {name: json.dumps(getattr(write, name), default=str) for name in ("new_links", "changed_links")}
    return write._replace(**as_json, awards=None if write.awards is None else json.dumps(write.awards))


def state_of(write: ScoringWrite, seen: Seen = SEEN_NOTHING) -> str | None:
    """The SQLSTATE the write ends with, None where it succeeds; nothing is left of one that failed."""
    before = everything()
    try:
        write_scoring("default", write, seen)
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


def test_a_claim_that_another_won_undoes_all(one: Community) -> None:
    rows.link("n2", RIVAL)
    both = [[name, OWNER, FAR] for name in ("n1", "n2")]
    assert state_of(a_write(new_links=both)) == CLAIM_LOST
    assert state_of(a_write(new_links=both[:1])) is None
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
    assert state_of(a_write(changed_links=[["n1", *seen, FAR]])) == (None if good_ else CLAIM_LOST)
    assert link_rows() == [("n1", OWNER if good_ else RIVAL)]


def test_a_link_of_another_community_is_another_link(one: Community) -> None:
    rows.community(one.account, 2)
    rows.link("n1", RIVAL, PAST)
    assert state_of(a_write(community_id=2, changed_links=[["n1", RIVAL, PAST, FAR]])) == CLAIM_LOST
    assert state_of(a_write(community_id=2, new_links=[["n1", OWNER, FAR]])) is None


def test_a_passport_is_created_once(one: Community) -> None:
    assert passports.lock_passport_of("default", OWNER, 1) is None
    written = write_scoring("default", a_write(), SEEN_NOTHING)
    assert state_of(a_write()) == NO_LONGER_SO, "another request created it first"
    assert state_of(a_write(passport_id=written.passport_id + 1)) == NO_LONGER_SO, "it is gone"
    assert passports.lock_passport_of("default", OWNER, 1) == written.passport_id
    assert scores.lock_score("default", written.passport_id) == tables.rows("registry_score")[0]["id"]
    assert scores.lock_score("default", written.passport_id + 1) is None


def test_a_first_score_is_stored_once(one: Community) -> None:
    passport_id = write_scoring("default", a_write(), SEEN_NOTHING).passport_id
    assert state_of(a_write(passport_id=passport_id)) == NO_LONGER_SO


def test_counting_stamps_are_copied_only_while_they_are_there(one: Community) -> None:
    (stamp,) = rows.stamps(OWNER, "Google")
    seen = Seen(f"{{{stamp.pk}}}", stamp.updated_at, None)
    assert state_of(a_write(counting=[stamp.pk, stamp.pk + 1]), seen) == NO_LONGER_SO
    write_scoring("default", a_write(counting=[stamp.pk]), seen)
    (copied,) = tables.rows("registry_stamp")
    assert (copied["provider"], copied["credential"]) == ("Google", stamp.stamp)


def test_posted_stamps_replace_those_of_their_providers(one: Community) -> None:
    old, kept_ = rows.stamps(OWNER, "Google", "Ens")
    entries = [
        {"provider": name, "stamp": {"of": name}, "proof_value": name.lower(), "issuance_date": None,
         "expiration_date": FAR.isoformat()}
        for name in ("Google", "Github")
    ]  # fmt: skip
    write = a_write(
        replaced=["Google", "Github"], posted=json.dumps(entries), source_app=2, source_scorer_id=1, counting=[-2]
    )
    written = write_scoring("default", write, Seen(f"{{{kept_.pk}}}", kept_.updated_at, None))
    google, github = (CeramicCache.objects.get(pk=id_) for id_ in written.ids)
    assert (google.provider, google.stamp, google.proof_value) == ("Google", {"of": "Google"}, "google")
    assert (google.issuance_date, google.expiration_date) == (None, FAR)
    assert (google.source_app, google.source_scorer_id, google.compose_db_save_status) == (2, 1, "pending")
    assert (github.provider, github.stamp) == ("Github", {"of": "Github"})
    old.refresh_from_db()
    assert old.deleted_at == old.updated_at == google.created_at == google.updated_at == NOW
    assert [row["provider"] for row in tables.rows("registry_stamp")] == ["Github"]


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
    assert state_of(a_write(awards=AWARD | {"metamask_limit": limit})) == (None if written else NO_LONGER_SO)
    new = tables.rows("registry_humanpoints")[len(before) :]
    expected = [("HKY", "Google", "t", 0), ("MM2", "", "", 0)] if written else []
    assert [(row["action"], row["provider"], row["tx_hash"], row["chain_id"]) for row in new] == expected
    assert HumanPointsCommunityQualifiedUsers.objects.filter(address=OWNER, community_id=1).exists() is written


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

    def late(alias: str, plan: Any, *more: Any, **named: Any) -> Any:
        plans.append(plan)
        if len(plans) == 1:
            monkeypatch.setattr(scoring, "write", real)
            change()
            monkeypatch.setattr(scoring, "write", late)
        return real(alias, plan, *more, **named)

    monkeypatch.setattr(scoring, "write", late)
    answer = good("internal_score").send().json()
    assert len(plans) == 2
    live = {row.provider for row in CeramicCache.objects.filter(deleted_at=None, revocation=None)}
    assert set(answer["stamps"]) == live
    assert {row["provider"] for row in tables.rows("registry_stamp")} == live


@pytest.mark.parametrize(
    ("stamps", "shown"),
    [({"Google": {"score": "1.50000"}}, b'{"Google":{"score":"1.50000"}}'), ([1], None), (None, None)],
)
def test_stored_stamps_are_shown_where_they_are_an_object(stamps: Any, shown: bytes | None, one: Community) -> None:
    write_scoring("default", a_write(), SEEN_NOTHING)
    Score.objects.update(stamps=stamps)
    found = scores.get_stored_score("default", 1, OWNER, points=False)
    assert found is not None
    assert found[0] is not None
    text = None if found[0].stamps is None else orjson.dumps(found[0].stamps).replace(b" ", b"")
    assert text == shown


def test_verified_signatures_are_remembered_and_forgotten() -> None:
    digests = ["00" * 32, "11" * 32]
    signed = [kept.Signature(digests[0], FAR), kept.Signature(digests[1], PAST)]
    for again in (signed, signed[:1], []):
        kept.remember("default", again, [], [], NOW, awaited=False)
    assert VerifiedCredential.objects.count() == 2
    assert verified.delete_expired("default", NOW, batch=1) == 1
    assert verified.delete_verified("default", [*digests, "22" * 32]) == 1
    assert verified.delete_expired("default", FAR + timedelta(days=1)) == 0


def test_what_is_remembered_is_on_disk_only_where_the_caller_waits() -> None:
    """In a caller's transaction the setting would stay until its end, so there it is left alone."""
    for awaited, expected in ((True, "on"), (False, "off")):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO on")
            kept.remember("default", [], [], [], NOW, awaited=awaited)
            cursor.execute("SHOW synchronous_commit")
            assert cursor.fetchone() == (expected,)


def test_kept_and_settled_readings_go_in_batches(one: Community) -> None:
    for number in range(3):
        owner = rows.address(number)
        rows.stamps(owner, "Google")
        answered(score(1, owner))
    assert len(tables.rows("scorer_fast_keptreading", "passport_id")) == 3
    later = datetime.now(UTC) + timedelta(days=1)
    assert kept.delete_kept("default", later, batch=2) == 2
    assert kept.delete_kept("default", later, batch=2) == 1
    assert len(tables.rows("scorer_fast_settledreading", "passport_id")) == 3
    assert kept.delete_settled("default", later, batch=2) == 2
    assert kept.delete_settled("default", later, batch=2) == 1
