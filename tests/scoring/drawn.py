"""Random communities of a few people who compete for nullifiers, what may happen to them, and what is compared."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

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
from scorer_fast.models import KeptReading, VerifiedCredential
from tests.factories import rows
from tests.factories.scoring import score
from tests.host import world

PEOPLE = tuple(world.address(0xD00D + number) for number in range(5))
STRANGER = world.address(0x57A)
PROVIDERS = ("Google", "Github", "Biometrics", "HolonymPhone")
SHARED = ("v0.0.0:one", "v0.0.0:two", "v0.0.0:three", "v1.0.0:four")
FUTURE = ("2099-01-01T00:00:00Z", "2098-06-01T12:00:00.250+05:30")
PAST = datetime(2020, 1, 1, tzinfo=UTC)
LISTS = ("MetaMaskOG2", "TheChosenOnes")
EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    phases=[phase for phase in Phase if phase != Phase.explain],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


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


def post(owner: str, stamps: list[dict[str, Any]]) -> dict[str, Any]:
    """What the owner is answered, without ids and times."""
    payload = [
        {
            "provider": stamp["provider"],
            "stamp": signed(owner, stamp["provider"], stamp["nullifiers"], stamp["hash"], stamp["expires"]),
        }
        for stamp in stamps
    ]
    response = Client().post(
        "/ceramic-cache/stamps/bulk",
        json.dumps(payload),
        content_type="application/json",
        headers={"Authorization": f"Bearer {world.token(owner)}"},
    )
    assert response.status_code == 201, response.content
    answer = response.json()
    answer["score"].pop("last_score_timestamp")
    for stamp in answer["stamps"]:
        stamp.pop("id")
    return dict(answer)


# ---- what is compared


def dump() -> dict[str, list[str]]:
    """The rows of a scoring, without times and ids, in a fixed order; events in their order, by address."""
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
            [e.action, e.address, e.community_id, without_time(e.data)] for e in Event.objects.order_by("address", "id")
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
    fields["passport"] = Passport.objects.get(pk=fields["passport"]).address  # a new one has another id each time
    return {"model": data["model"], "fields": fields, "is_its_row": Score.objects.filter(pk=data["pk"]).exists()}


def one_by_one() -> None:
    for owner in Passport.objects.order_by("id").values_list("address", flat=True):
        score(owner)


def undone(act: Callable[[], Any]) -> dict[str, list[str]]:
    """What ``act`` leaves; then the database is as before."""
    with transaction.atomic():
        act()
        found = dump()
        transaction.set_rollback(True)
    return found


# ---- what may happen


def forget() -> None:
    KeptReading.objects.all().delete()


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
