"""Random communities: rescoring in batches leaves the rows that scoring one by one in passport order leaves."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from api.account.models import AddressList, AddressListMember
from api.ceramic_cache.models import CeramicCache, Revocation
from api.demo_issuer import sign_credential
from api.registry.models import (
    Event,
    HashScorerLink,
    HumanPoints,
    HumanPointsCommunityQualifiedUsers,
    Passport,
    Score,
    Stamp,
)
from api.scorer_weighted.models import BinaryWeightedScorer
from scorer_fast.errors import Problem
from scorer_fast.models import KeptReading, SettledReading, VerifiedCredential
from scorer_fast.operations import rescore
from scorer_fast.operations.scoring import score_address
from scorer_fast.sql.communities import CommunityKey
from tests.factories import rows
from tests.host import world

pytestmark = pytest.mark.django_db

PEOPLE = tuple(world.address(0xD00D + number) for number in range(5))
STRANGER = world.address(0x57A)
PROVIDERS = ("Google", "Github", "Biometrics", "HolonymPhone")
SHARED = ("v0.0.0:one", "v0.0.0:two", "v0.0.0:three", "v1.0.0:four")
FUTURE = ("2099-01-01T00:00:00Z", "2098-06-01T12:00:00.250+05:30")
PAST = datetime(2020, 1, 1, tzinfo=UTC)
LISTS = ("MetaMaskOG2", "TheChosenOnes")
COMMUNITY = CommunityKey(1, external=False)
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    phases=[phase for phase in Phase if phase != Phase.explain],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def settings_of_points(settings: Settings) -> None:
    settings.HUMAN_POINTS_ENABLED = True
    settings.HUMAN_POINTS_MTA_ENABLED = True


@cache
def signed(owner: str, provider: str, nullifiers: tuple[str, ...], hash: str | None, expires: str) -> dict[str, Any]:
    return sign_credential(
        owner, provider, nullifiers=list(nullifiers), hash=hash, issued="2025-06-01T00:00:00Z", expires=expires
    )


# ---- what is drawn

stamps = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(PROVIDERS),
        "nullifiers": st.lists(st.sampled_from(SHARED), min_size=1, max_size=3, unique=True).map(tuple),
        "hash": st.sampled_from([None, None, None, "v0.0.0:hash"]),
        "expires": st.sampled_from(FUTURE),
        "state": st.sampled_from(["live"] * 7 + ["revoked", "tampered", "unreadable", "stale"]),
        "counted": st.booleans(),  # already a registry_stamp
    }
)
people = st.fixed_dictionaries(
    {
        "stamps": st.lists(stamps, max_size=3, unique_by=lambda stamp: stamp["provider"]),
        "score": st.sampled_from([None, "scored", "error"]),
        "lists": st.sets(st.sampled_from(LISTS)),
        "has_points": st.booleans(),
    }
)
links = st.lists(
    st.tuples(
        st.sampled_from([*SHARED, "v0.0.0:hash"]),
        st.sampled_from([*PEOPLE, STRANGER]),
        st.sampled_from([PAST, datetime(2097, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)]),
    ),
    max_size=4,
    unique_by=lambda link: link[0],
)
communities = st.fixed_dictionaries(
    {
        "people": st.lists(people, min_size=1, max_size=len(PEOPLE)),
        "links": links,
        "weights": st.dictionaries(
            st.sampled_from(PROVIDERS), st.sampled_from(["1.5", "12", 7.123, 0.1, "20"]), min_size=1
        ),
        "threshold": st.sampled_from(["0.00001", "1.50000", "20.00000"]),
        "in_program": st.booleans(),
        "customized": st.booleans(),
    }
)


def make(drawn: dict[str, Any]) -> None:
    """The drawn community, with id 1."""
    community = rows.community(
        world.make_account(), 1, drawn["weights"], threshold=drawn["threshold"], in_program=drawn["in_program"]
    )
    rows.points_config()
    if drawn["customized"]:
        rows.customized(community, credentials={"Google": "4.25"})
    lists = {name: AddressList.objects.create(name=name) for name in LISTS}
    for owner, person in zip(PEOPLE, drawn["people"], strict=False):
        passport = Passport.objects.create(address=owner, community=community)
        for stamp in person["stamps"]:
            store(passport, owner, stamp)
        if person["score"] is not None:
            failed = person["score"] == "error"
            Score.objects.create(
                passport=passport,
                score=None if failed else Decimal(1),
                status="ERROR" if failed else "DONE",
                error="some failure" if failed else None,
                last_score_timestamp=PAST,
                evidence=None if failed else {"type": "ThresholdScoreCheck"},
                stamps={},
            )
        for name in person["lists"]:
            AddressListMember.objects.create(list=lists[name], address=owner)
        if person["has_points"]:
            HumanPoints.objects.create(address=owner, action="HKY", provider="Google", tx_hash="v0", timestamp=PAST)
    for nullifier, owner, expires_at in drawn["links"]:
        rows.link(nullifier, owner, expires_at)


def store(passport: Passport, owner: str, drawn: dict[str, Any]) -> None:
    provider = drawn["provider"]
    credential = copy.deepcopy(signed(owner, provider, drawn["nullifiers"], drawn["hash"], drawn["expires"]))
    if drawn["state"] == "tampered":
        credential["issuanceDate"] = "2025-06-01T00:00:01.000Z"
    if drawn["state"] == "unreadable":
        del credential["expirationDate"]
    if drawn["counted"] and drawn["state"] != "tampered":
        counted = {**credential, "issuanceDate": "2020"} if drawn["state"] == "stale" else credential
        Stamp.objects.create(passport=passport, provider=provider, credential=counted)
    cached = CeramicCache.objects.create(address=owner, provider=provider, stamp=credential, proof_value="proof")
    if drawn["state"] == "revoked":
        Revocation.objects.create(proof_value="proof", ceramic_cache=cached)


# ---- what is compared


def dump() -> dict[str, list[str]]:
    """The rows of a scoring, without times and ids, in a fixed order; events in the order they were made."""
    found: dict[str, list[Any]] = {
        "score": [
            [s.passport.address, str(s.score), s.status, s.error, s.evidence, s.stamp_scores, s.stamps,
             s.expiration_date]
            for s in Score.objects.select_related("passport").order_by("passport_id")
        ],
        "stamp": [
            [s.passport.address, s.provider, s.credential]
            for s in Stamp.objects.select_related("passport").order_by("passport_id", "provider", "id")
        ],
        "link": list(HashScorerLink.objects.order_by("hash").values_list("hash", "address", "expires_at")),
        "event": [
            [e.action, e.address, e.community_id, without_time(e.data)] for e in Event.objects.order_by("id")
        ],
        "points": list(
            HumanPoints.objects.order_by("address", "action", "provider", "chain_id").values_list(
                "address", "action", "provider", "tx_hash", "chain_id"
            )
        ),
        "qualified": list(
            HumanPointsCommunityQualifiedUsers.objects.order_by("address").values_list("address", "community_id")
        ),
    }  # fmt: skip
    return {table: [json.dumps(row, default=str, sort_keys=True) for row in all_] for table, all_ in found.items()}


def without_time(data: dict[str, Any]) -> dict[str, Any]:
    if data.get("model") != "registry.score":
        return data
    fields = {name: value for name, value in data["fields"].items() if name != "last_score_timestamp"}
    return {"model": data["model"], "fields": fields, "is_its_row": Score.objects.filter(pk=data["pk"]).exists()}


def one_by_one() -> None:
    for owner in Passport.objects.order_by("id").values_list("address", flat=True):
        score_address(owner, COMMUNITY, missing=Problem.NO_COMMUNITY)


def in_batches(size: int, *, only_changed: bool = False) -> rescore.RunRow:
    return rescore.work(rescore.begin(1, only_changed=only_changed, size=size), lambda step: None)


def undone(act: Callable[[], Any]) -> dict[str, list[str]]:
    """What ``act`` leaves; then the database is as before."""
    with transaction.atomic():
        act()
        found = dump()
        transaction.set_rollback(True)
    return found


@EXAMPLES
@given(
    drawn=communities, size=st.integers(1, 6), multi=st.sampled_from(["on", "off"]), limit=st.sampled_from([5000, 1])
)
def test_batches_leave_what_one_by_one_leaves(
    drawn: dict[str, Any], size: int, multi: str, limit: int, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FF_MULTI_NULLIFIER = multi
    for module in ("sql.points", "operations.write", "sql.rescore", "operations.rescore"):
        monkeypatch.setattr(f"scorer_fast.{module}.METAMASK_LIMIT", limit)
    with transaction.atomic():
        make(drawn)
        expected = undone(one_by_one)
        ended = in_batches(size)
        assert dump() == expected
        assert (ended.scored, ended.failed) == (len(drawn["people"]), 0)
        transaction.set_rollback(True)


@EXAMPLES
@given(
    drawn=communities,
    size=st.integers(1, 6),
    weights=st.dictionaries(st.sampled_from(PROVIDERS), st.sampled_from(["1.5", "12", 0.1]), min_size=1),
    lost=st.sampled_from([None, *PEOPLE]),
)
def test_only_changed_writes_what_differs_and_nothing_else(
    drawn: dict[str, Any], size: int, weights: dict[str, Any], lost: str | None, settings: Settings
) -> None:
    settings.FF_MULTI_NULLIFIER = "on"
    with transaction.atomic():
        make(drawn)
        one_by_one()
        one_by_one()  # backfills of the first round may change what the second finds
        BinaryWeightedScorer.objects.update(weights=weights)
        CeramicCache.objects.filter(address=lost, provider=PROVIDERS[0]).update(deleted_at=datetime.now(UTC))
        before = dump()
        all_expected = undone(one_by_one)
        times = dict(Score.objects.values_list("passport__address", "last_score_timestamp"))
        newest_event = Event.objects.order_by("-id").values_list("id", flat=True).first() or 0
        ended = in_batches(size, only_changed=True)
        after = dump()
        assert {**after, "event": []} == {**all_expected, "event": []}
        changed = {
            owner
            for owner in PEOPLE
            if any(of(owner, before[table]) != of(owner, all_expected[table]) for table in before if table != "event")
        }
        written = {
            owner
            for owner, at in Score.objects.values_list("passport__address", "last_score_timestamp")
            if times[owner] != at
        }
        assert written == changed
        assert set(Event.objects.filter(id__gt=newest_event).values_list("address", flat=True)) == changed
        assert (ended.scored, ended.unchanged) == (len(changed), len(drawn["people"]) - len(changed))
        transaction.set_rollback(True)


# ---- what is kept of earlier scorings, and a helper


def forget() -> None:
    KeptReading.objects.all().delete()
    SettledReading.objects.all().delete()


def give_a_link_away() -> None:
    HashScorerLink.objects.filter(hash=SHARED[0]).update(address=STRANGER)


def let_links_expire() -> None:
    HashScorerLink.objects.exclude(hash=SHARED[1]).update(expires_at=PAST)


def lose_links() -> None:
    HashScorerLink.objects.filter(hash__in=SHARED[:2]).delete()


def weigh_otherwise() -> None:
    BinaryWeightedScorer.objects.update(weights={"Google": "20", "Github": 0.1}, threshold="7")


def delete_stamps() -> None:
    CeramicCache.objects.filter(provider="Google").update(deleted_at=PAST)


def revoke_stamps() -> None:
    for stamp in CeramicCache.objects.filter(provider="Github", address=PEOPLE[0]):
        Revocation.objects.create(proof_value="proof", ceramic_cache=stamp)


def tamper_without_a_trace() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE ceramic_cache_ceramiccache SET stamp = jsonb_set(stamp, '{issuanceDate}', '\"2025-06-01\"') "
            "WHERE provider = 'Biometrics'"
        )


def lose_copies() -> None:
    Stamp.objects.filter(passport__address=PEOPLE[0]).delete()


def forget_signatures() -> None:
    VerifiedCredential.objects.all().delete()


def lose_scores() -> None:
    Score.objects.filter(passport__address=PEOPLE[0]).delete()


EVENTS = (
    give_a_link_away,
    let_links_expire,
    lose_links,
    weigh_otherwise,
    delete_stamps,
    revoke_stamps,
    tamper_without_a_trace,
    lose_copies,
    forget_signatures,
    lose_scores,
)


def truncate() -> None:
    kept = ("django_", "auth_permission")
    tables = ", ".join(name for name in connection.introspection.table_names() if not name.startswith(kept))
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {tables} CASCADE")


@pytest.mark.django_db(transaction=True)
@settings(EXAMPLES, max_examples=30)
@given(
    drawn=communities,
    size=st.integers(1, 3),
    rounds=st.integers(0, 2),
    happened=st.lists(st.sampled_from(EVENTS), max_size=2, unique=True),
    multi=st.sampled_from(["on", "off"]),
    then_multi=st.sampled_from(["on", "off"]),
)
def test_whatever_was_kept_and_happened_since_both_leave_what_scoring_anew_leaves(
    drawn: dict[str, Any],
    size: int,
    rounds: int,
    happened: list[Callable[[], None]],
    multi: str,
    then_multi: str,
) -> None:
    """Committed, so that what is kept is used, and that a helper reads ahead."""
    try:
        make(drawn)
        with override_settings(FF_MULTI_NULLIFIER=multi):
            for _ in range(rounds):
                one_by_one()
        for event in happened:
            event()
        with override_settings(FF_MULTI_NULLIFIER=then_multi):
            expected = undone(lambda: (forget(), one_by_one()))
            assert undone(one_by_one) == expected
            in_batches(size)
            assert dump() == expected
    finally:
        truncate()


def of(owner: str, texts: list[str]) -> list[str]:
    return [text for text in texts if owner in text]


def test_the_batch_reads_its_addresses_in_one_statement(settings: Settings) -> None:
    make({**QUIET, "people": [{**PERSON, "stamps": [{**STAMP, "provider": name}]} for name in PROVIDERS]})
    one_by_one()
    run = rescore.begin(1, only_changed=False, size=10)
    with connection.execute_wrapper(Recorder()) as _:
        rescore.Worker("default", run).step()
    texts = [text for text in Recorder.seen if text.strip().startswith("--")]
    assert [text.strip().splitlines()[0] for text in texts] == [
        "-- the first batch that is not done and nobody works on; scorer_fast_rescore_todo",
        "-- what scoring some addresses of a community needs; what the community says in the first row only;",
        "-- locks passports nobody else holds; registry_passport pkey",
        "-- stores scores, first ones and over those that were read, with their events by passport;",
        "-- notes how far a batch is; scorer_fast_rescorebatch pkey",
        "-- remembers signatures and readings; see sql/functions.py",
    ]


class Recorder:
    """Keeps the statements that pass."""

    seen: list[str] = []

    def __init__(self) -> None:
        self.seen.clear()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen.append(sql)
        return execute(sql, params, many, context)


STAMP = {"nullifiers": ("v0.0.0:one",), "hash": None, "expires": FUTURE[0], "state": "live", "counted": False}
PERSON = {"score": None, "lists": set(), "has_points": False}
QUIET = {"links": [], "weights": {"Google": "1"}, "threshold": "20", "in_program": False, "customized": False}
