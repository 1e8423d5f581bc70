"""Which of two faults is told: authentication, then 422, then the operation's own checks in the contract's order.

And the order of lists in what is answered.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from api.account.models import Community
from api.ceramic_cache.models import CeramicCache
from api.registry.models import GTCStakeEvent
from api.stake.models import Stake
from tests.factories import rows, tables
from tests.factories.operations import TABLE
from tests.factories.requests import INTERNAL, Request, bearer, entry, good, key, subject
from tests.factories.rows import OWNER, RIVAL
from tests.http.unchanged import refused

pytestmark = pytest.mark.django_db

NO_SCORER = "No scorer matches the given criteria."
NO_COMMUNITY = "No Community matches the given query."
MISCONFIGURED = "Community matching the configured scorer id does not exist! This is probably a misconfiguration!"
BAD_ADDRESS = "Invalid address."
TOO_MANY = "You have submitted too many stamps."
LIMITED = "You have been rate limited!"
REFUSAL = {"ApiKeyAuth": "Invalid API Key.", "InternalAuth": "Unauthorized", "TokenAuth": None}
AUTHENTICATED = {id_: REFUSAL[case.auth] for id_, case in TABLE.items() if case.auth}


@pytest.fixture(autouse=True)
def community(one: Community) -> Community:
    return one


# ---- authentication goes first


@pytest.mark.parametrize("operation", AUTHENTICATED)
def test_authentication_before_anything(operation: str) -> None:
    """No credentials and wrong ones, with a request that is wrong in every other way too."""
    request = good(operation)
    for place in (OWNER, "/1"):
        request = request.with_(path=request.path.replace(place, place[:1] + "nonsense"))
    if request.method != "GET":
        request = request.with_(raw=b"{")
    for headers in ({}, {"Authorization": "wrong"}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}):
        refused(request.with_(headers=headers), 401, AUTHENTICATED[operation])


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("embed_add_stamps", {"scorer_id": "one", "stamps": []}),
        ("embed_add_stamps", {"stamps": []}),
        ("embed_add_stamps", {"scorer_id": 1}),
        ("embed_add_stamps", {"scorer_id": 1, "stamps": None}),
        ("embed_add_stamps", []),
        ("cache_add_stamps", {}),
        ("cache_add_stamps", None),
        ("cache_add_stamps", [1]),
        ("cache_patch_stamps", [{}]),
        ("cache_delete_stamps", [{"provider": None}]),
        ("cache_calc_score", {}),
        ("check_bans", [{}]),
        ("check_bans", [{"credentialSubject": {"hash": "h", "provider": "p"}}]),
        ("check_revocations", {"proof_values": "p"}),
        ("check_revocations", {"proof_values": [None]}),
    ],
)
def test_a_body_of_another_shape_before_the_address(operation: str, body: Any) -> None:
    request = good(operation)
    found = refused(request.with_(path=request.path.replace(OWNER, "nobody"), body=body), 422)
    assert isinstance(found, list)
    assert found[0]["loc"][:2] == ["body", "payload"]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/stamps/one/score/nobody",
        "/internal/score/v2/one/nobody",
        "/internal/embed/score/one/nobody",
        "/internal/stake/legacy-gtc/nobody/one",
        "/ceramic-cache/score/nobody?alternate_scorer_id=one",
        "/ceramic-cache/stamp",
        "/internal/cgrants/contributor_statistics",
    ],
)
def test_a_path_or_query_of_another_shape_before_the_address(path: str) -> None:
    headers = key() if path.startswith("/v2") else bearer() if path.startswith("/ceramic") else INTERNAL
    assert isinstance(refused(Request("GET", path, headers=headers), 422), list)


# ---- v2_score


def v2(scorer: Any = 1, address: str = OWNER, api_key: str = rows.API_KEY) -> Request:
    return Request("GET", f"/v2/stamps/{scorer}/score/{address}", headers=key(api_key))


def test_v2_rate_limit_before_scorer_and_address(community: Community, settings: Settings) -> None:
    settings.RATELIMIT_ENABLE = True
    rows.api_key(community.account, "limit001.x", rate_limit="1/15m", read_scores=False)
    refused(v2("one", "nobody", "limit001.x"), 422)  # not parsed: not counted
    refused(v2(999, "nobody", "limit001.x"), 403)
    refused(v2(999, "nobody", "limit001.x"), 429, LIMITED)
    refused(v2("one", "nobody", "limit001.x"), 422)
    refused(v2(1, OWNER, "limit001.y"), 401)


def test_v2_permission_before_scorer_before_address(community: Community) -> None:
    rows.api_key(community.account, "noread01.x", read_scores=False)
    refused(v2(999, "nobody", "noread01.x"), 403)
    refused(v2(999, "nobody"), 404, NO_SCORER)
    refused(v2(10**30, "nobody"), 404, NO_SCORER)
    refused(v2(1, "nobody"), 400, BAD_ADDRESS)


def test_v2_scorers_of_the_keys_account_by_external_id_first(community: Community, settings: Settings) -> None:
    other = rows.account(2)
    rows.community(other, 20, external_id="4")
    rows.community(community.account, 2, {"Google": "9"}, external_id="1")
    rows.stamps(OWNER, "Google")
    refused(v2(20), 404, NO_SCORER)
    refused(v2(4), 404, NO_SCORER)
    assert v2(1).send().json()["score"] == "9.00000"  # not community 1: that has its id, 2 has its external one
    assert v2(2).send().json()["score"] == "9.00000"
    refused(v2(-1), 404, NO_SCORER)
    settings.DEMO_API_SCORER_ID = 2
    assert v2(-1).send().json()["score"] == "9.00000"
    assert v2(-7).send().json()["score"] == "9.00000"
    settings.DEMO_API_SCORER_ID = 20
    refused(v2(-1), 404, NO_SCORER)


def test_v2_an_external_id_beyond_bigint(community: Community) -> None:
    rows.community(community.account, 2, {"Google": "9"}, external_id=str(2**63))
    rows.stamps(OWNER, "Google")
    assert v2(2**63).send().json()["score"] == "9.00000"


# ---- the others


def test_internal_score_by_id_alone(community: Community) -> None:
    rows.community(community.account, 2, external_id="77")
    for scorer, address, status, detail in [
        (999, "nobody", 404, NO_COMMUNITY),
        (77, OWNER, 404, NO_COMMUNITY),
        (10**30, "nobody", 404, NO_COMMUNITY),
        (-1, OWNER, 404, NO_COMMUNITY),
        (1, "nobody", 400, BAD_ADDRESS),
    ]:
        refused(Request("GET", f"/internal/score/v2/{scorer}/{address}", headers=INTERNAL), status, detail)


def test_embed_score_scorer_before_address(settings: Settings) -> None:
    for scorer, address, detail in [
        (999, "nobody", "Invalid scorer_id"),
        (10**30, "nobody", "Invalid scorer_id"),
        (-1, OWNER, "Invalid scorer_id"),
        (1, "nobody", BAD_ADDRESS),
    ]:
        refused(Request("GET", f"/internal/embed/score/{scorer}/{address}"), 400, detail)
    settings.DEMO_API_SCORER_ID = "1"
    assert Request("GET", f"/internal/embed/score/-1/{OWNER}").send().status_code == 200


def embed(address: str, count: int, stamp: Any, scorer_id: Any) -> Request:
    body = {"scorer_id": scorer_id, "stamps": [stamp] * count}
    return Request("POST", f"/internal/embed/stamps/{address}", body, INTERNAL)


def test_embed_add_stamps_address_size_stamps_scorer() -> None:
    stamp = entry()["stamp"]
    refused(embed("nobody", 101, {}, 999), 400, BAD_ADDRESS)
    refused(embed(OWNER, 101, {}, 999), 422, TOO_MANY)
    refused(embed(OWNER, 1, {}, 999), 422, "A stamp must name its provider in credentialSubject.provider.")
    refused(embed(OWNER, 1, stamp, 999), 400, "Invalid scorer_id")
    assert embed(OWNER, 1, stamp, "1").send().status_code == 200


@pytest.mark.parametrize("operation", ["cache_add_stamps", "cache_patch_stamps", "cache_delete_stamps"])
def test_cache_size_then_stamps_then_scorer(operation: str, settings: Settings) -> None:
    request = good(operation)
    settings.CERAMIC_CACHE_SCORER_ID = "999"
    settings.MAX_BULK_CACHE_SIZE = 2
    refused(request.with_(body=[{"provider": "P", "stamp": {}}] * 3), 422, TOO_MANY)
    if operation != "cache_delete_stamps":
        refused(request.with_(body=[{"provider": "P", "stamp": {"proof": {}}}]), 422)
    if operation == "cache_delete_stamps":
        refused(request, 404, "Unable to find stamp to delete.")
        rows.stamps(OWNER, "Google")
    refused(request, 404, MISCONFIGURED)
    settings.CERAMIC_CACHE_SCORER_ID = "none"
    refused(request, 404, MISCONFIGURED)
    settings.CERAMIC_CACHE_SCORER_ID = 1
    if operation == "cache_delete_stamps":
        refused(request.with_(body=[{"provider": "Ens"}]), 404, "Unable to find stamp to delete.")


def cache_score(method: str, address: str, scorer: Any, owner: str = OWNER) -> Request:
    path = f"/ceramic-cache/score/{address}"
    if method == "GET":
        return Request("GET", f"{path}?alternate_scorer_id={scorer}", headers=bearer(owner))
    return Request("POST", path, {"alternate_scorer_id": scorer}, bearer(owner))


def test_cache_get_score_address_then_whose_then_scorer() -> None:
    refused(cache_score("GET", "nobody", 999), 400, BAD_ADDRESS)
    refused(cache_score("GET", RIVAL, 999), 401)
    refused(cache_score("GET", OWNER, 999), 404, MISCONFIGURED)
    refused(cache_score("GET", OWNER, 10**30), 404, MISCONFIGURED)


def test_cache_calc_score_scorer_then_address_then_whose() -> None:
    refused(cache_score("POST", "nobody", 999), 404, "Not Found")
    refused(cache_score("POST", RIVAL, 999), 404, "Not Found")
    refused(cache_score("POST", OWNER, 10**30), 404, "Not Found")
    refused(cache_score("POST", "nobody", 1), 400, BAD_ADDRESS)
    refused(cache_score("POST", RIVAL, 1), 401)


def test_cache_get_stamps_of_no_address(settings: Settings) -> None:
    settings.CERAMIC_CACHE_SCORER_ID = "999"
    refused(Request("GET", "/ceramic-cache/stamp?address=nobody"), 400, BAD_ADDRESS)
    refused(good("cache_get_stamps"), 404, MISCONFIGURED)


def test_check_bans_subjects() -> None:
    request = good("check_bans")
    several = "All credentials must be issued to the same address"
    none = "Must provide valid credential(s)"
    refused(request.with_(body=[]), 400, none)
    other_case = f"did:pkh:eip155:1:{OWNER.upper()}"
    refused(request.with_(body=[subject(), subject(id=other_case)]), 400, several)
    refused(request.with_(body=[subject(), subject(id=None)]), 400, several)


def test_check_revocations_size(settings: Settings) -> None:
    settings.MAX_BULK_CACHE_SIZE = 2
    refused(good("check_revocations").with_(body={"proof_values": ["a"] * 3}), 422, TOO_MANY)


@pytest.mark.parametrize("operation", ["gtc_stake", "contributor_statistics"])
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", 200),
        ("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", 200),
        ("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", 200),
        ("0X5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED", 200),
        ("5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", 400),
        ("0X5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", 400),
        ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", 400),
        ("0x5aAe", 400),
        ("me.eth", 400),
    ],
)
def test_checksums_where_they_are_asked_for(operation: str, address: str, status: int) -> None:
    request = good(operation)
    assert request.with_(path=request.path.replace(OWNER, address)).send().status_code == status


def test_legacy_stakes_take_any_case() -> None:
    request = good("legacy_gtc_stake")
    path = request.path.replace(OWNER, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD")
    assert request.with_(path=path).send().status_code == 200
    refused(request.with_(path=request.path.replace(OWNER, "nobody")), 400, BAD_ADDRESS)


METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@pytest.mark.parametrize("operation", sorted([*AUTHENTICATED, "embed_score", "embed_weights", "cache_get_stamps"]))
def test_another_method_is_ninjas_405(operation: str) -> None:
    path = good(operation).path.partition("?")[0]
    taken = {"cache_add_stamps": {"POST", "PATCH", "DELETE"}, "cache_get_score": {"GET", "POST"}}
    taken |= dict.fromkeys(["cache_patch_stamps", "cache_delete_stamps"], taken["cache_add_stamps"])
    taken["cache_calc_score"] = taken["cache_get_score"]
    own = taken.get(operation, {good(operation).method})
    for method in METHODS:
        if method not in own:
            response = Request(method, path).send()
            assert (response.status_code, response.content) == (405, b"Method not allowed")
            assert set(response["Allow"].replace(" ", "").split(",")) == own


# ---- lists


def shuffled(operation: str) -> list[int]:
    """Ids of the stamps that an operation answers with, the rows' physical order stirred."""
    made = rows.stamps(OWNER, "C", "A", "D", "B")
    CeramicCache.objects.filter(pk=made[0].pk).update(compose_db_stream_id="moved")
    CeramicCache.objects.filter(pk=made[1].pk).update(compose_db_stream_id="moved")
    answer = good(operation).send().json()
    return [stamp["id"] for stamp in answer["stamps"]]


@pytest.mark.parametrize(
    "operation",
    ["embed_score", "embed_add_stamps", "cache_add_stamps", "cache_patch_stamps", "cache_get_stamps"],
)
def test_stamps_come_by_id(operation: str) -> None:
    ids = shuffled(operation)
    assert ids == sorted(ids)
    assert len(ids) == (4 if operation in {"embed_score", "cache_get_stamps"} else 5)


def test_stamps_after_deleting_come_by_id() -> None:
    rows.stamps(OWNER, "Google", "C", "A", "B")
    stamps = good("cache_delete_stamps").send().json()["stamps"]
    assert [stamp["provider"] for stamp in stamps] == ["C", "A", "B"]
    assert [stamp["id"] for stamp in stamps] == sorted(stamp["id"] for stamp in stamps)


def test_new_stamps_come_in_the_order_of_the_payload() -> None:
    providers = ["Zeta", "Alpha", "Mid"]
    answer = good("cache_add_stamps").with_(body=[entry(name) for name in providers]).send().json()
    assert [stamp["provider"] for stamp in answer["stamps"]] == providers
    stored = tables.rows("ceramic_cache_ceramiccache", "provider", "id")
    assert [row["provider"] for row in stored] == providers
    assert [row["id"] for row in stored] == [stamp["id"] for stamp in answer["stamps"]]


def test_bans_and_revocations_come_in_the_order_of_the_request() -> None:
    rows.ban(type="hash", hash="h2", reason="second")
    asked = ["h3", "h2", "h1", "h2"]
    body = [subject(hash=hash_) for hash_ in asked]
    answer = good("check_bans").with_(body=body).send().json()
    assert [ban["hash"] for ban in answer] == asked
    assert [ban["is_banned"] for ban in answer] == [False, True, False, True]
    stamp = rows.stored(OWNER, "P", {})
    rows.revoked(stamp)
    proofs = ["z", "proof", "a", "proof", "z"]
    answer = good("check_revocations").with_(body={"proof_values": proofs}).send().json()
    assert answer == [{"proof_value": proof, "is_revoked": proof == "proof"} for proof in proofs]


def test_the_first_ban_by_id_holds() -> None:
    first = rows.ban(type="single_stamp", provider="Google", address=OWNER, reason="first")
    rows.ban(type="account", address=OWNER.upper(), reason="second")
    first.last_run_revoke_matching = rows.PAST
    first.save()  # moves the row behind the second
    answer = good("check_bans").send().json()
    assert [ban["reason"] for ban in answer] == ["first"]


@pytest.mark.parametrize("operation", ["gtc_stake", "legacy_gtc_stake"])
def test_stakes_come_by_id(operation: str) -> None:
    make: Callable[[int], Any]
    if operation == "gtc_stake":

        def make(number: int) -> Any:
            return Stake.objects.create(
                chain=number,
                staker=OWNER,
                stakee=RIVAL,
                lock_time=rows.PAST,
                unlock_time=rows.PAST + timedelta(days=1),
                last_updated_in_block=Decimal(number),
                current_amount=Decimal(number),
            )

        name, field = "items", "chain"
    else:

        def make(number: int) -> Any:
            return GTCStakeEvent.objects.create(
                event_type="SelfStake",
                round_id=1,
                staker=OWNER if number % 2 else RIVAL,
                address=RIVAL if number % 2 else OWNER,
                amount=Decimal(number),
                staked=True,
                block_number=number,
                tx_hash="0x",
            )

        name, field = "results", "block_number"
    made = [make(number) for number in (3, 1, 2)]
    made[0].save()  # moves the row behind the others
    answer = good(operation).send().json()[name]
    assert [item[field] for item in answer] == [3, 1, 2]


def test_dedup_events_come_in_the_order_of_the_stamps() -> None:
    for name in ("C", "A", "B"):
        rows.link(f"v0:{name}", RIVAL)
        rows.stamps(OWNER, name, nullifiers=[f"v0:{name}"])
    good("v2_score").send()
    events = tables.rows("registry_event", "action", "data")
    assert [event["action"] for event in events] == ["LDP", "LDP", "LDP", "SCU"]
    assert [event["data"].get("provider") for event in events[:3]] == ["C", "A", "B"]
