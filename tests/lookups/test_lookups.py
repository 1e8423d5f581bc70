"""The look-ups, asked as clients ask them: whole answers, and nothing written."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from api.account.models import Community
from api.cgrants.models import (
    Contribution,
    Grant,
    GrantContributionIndex,
    Profile,
    ProtocolContributions,
    RoundMapping,
    SquelchedAccounts,
    Subscription,
)
from api.registry.models import GTCStakeEvent
from api.stake.models import Stake
from tests.factories import rows
from tests.factories.requests import INTERNAL, Request, good, key, subject
from tests.factories.rows import OWNER, RIVAL
from tests.http.unchanged import nothing_written, refused

pytestmark = pytest.mark.django_db
MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"


def asked(path: str, body: Any = None, headers: dict[str, str] = INTERNAL) -> Any:
    """The whole answer to a request that is answered with 200 and writes nothing."""
    with nothing_written():
        response = Request("GET" if body is None else "POST", path, body, headers).send()
    assert response.status_code == 200, response.content
    return response.json()


# ---- check_bans


NO_BAN = {"is_banned": False, "ban_type": None, "end_time": None, "reason": None}


def bans(*subjects: dict[str, Any]) -> Any:
    return asked("/internal/check-bans", list(subjects))


def banned(kind: str, reason: str | None = None, end_time: str | None = None) -> dict[str, Any]:
    return {"is_banned": True, "ban_type": kind, "end_time": end_time, "reason": reason}


@pytest.mark.parametrize(
    ("end_time", "written"),
    [
        (datetime(2090, 1, 2, 3, 4, 5, tzinfo=UTC), "2090-01-02T03:04:05Z"),
        (datetime(2090, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC), "2090-01-02T03:04:05.999Z"),
        (datetime(2090, 1, 2, 3, 4, 5, 500_000, tzinfo=UTC), "2090-01-02T03:04:05.500Z"),
        (datetime(2090, 1, 2, 3, 4, 5, 7, tzinfo=UTC), "2090-01-02T03:04:05.000Z"),
        (None, None),
    ],
)
def test_when_a_ban_ends(end_time: datetime | None, written: str | None) -> None:
    rows.ban(type="account", address=OWNER, end_time=end_time, reason="")
    assert bans(subject(hash="h")) == [{"hash": "h"} | banned("account", "", written)]


def test_a_ban_that_has_ended_gives_way_to_the_next_by_id() -> None:
    rows.ban(type="account", address=OWNER, end_time=datetime.now(UTC) - timedelta(milliseconds=1), reason="over")
    assert bans(subject()) == [{"hash": "v0.0.0:h"} | NO_BAN]
    rows.ban(type="single_stamp", address=OWNER, provider="Google", reason="first")
    rows.ban(type="hash", hash="v0.0.0:h", reason="second")
    rows.ban(type="account", address=OWNER, reason="third")
    assert bans(subject(), subject(provider="Ens"), subject(hash="other", provider="Ens")) == [
        {"hash": "v0.0.0:h"} | banned("single_stamp", "first"),
        {"hash": "v0.0.0:h"} | banned("hash", "second"),
        {"hash": "other"} | banned("account", "third"),
    ]


@pytest.mark.parametrize("stored", [MIXED, MIXED.lower(), MIXED.upper(), "0x" + MIXED[2:].upper()])
@pytest.mark.parametrize("asked_for", [MIXED, MIXED.lower(), MIXED.upper()])
def test_a_ban_does_not_hang_on_the_case_of_an_address(stored: str, asked_for: str) -> None:
    rows.ban(type="account", address=stored)
    assert bans(subject(id=f"did:pkh:eip155:1:{asked_for}")) == [{"hash": "v0.0.0:h"} | banned("account")]


@pytest.mark.parametrize("did", [OWNER, f"did:pkh:eip155:10:{OWNER}", f":{OWNER}", f"any thing:{OWNER}"])
def test_an_address_is_the_last_part_of_an_id(did: str) -> None:
    rows.ban(type="account", address=OWNER)
    assert bans(subject(id=did)) == [{"hash": "v0.0.0:h"} | banned("account")]


@pytest.mark.parametrize("did", ["", ":", "did:pkh:eip155:1:", f"{OWNER}:"])
def test_an_empty_address_or_hash_matches_nothing(did: str) -> None:
    rows.ban(type="account")
    rows.ban(type="hash")
    rows.ban(type="single_stamp", provider="Google")
    assert bans(subject(id=did, hash="")) == [{"hash": ""} | NO_BAN]
    assert bans(subject(id=did, hash=None, provider=None)) == [{"hash": None} | NO_BAN]


def test_a_provider_is_compared_as_it_is_written() -> None:
    rows.ban(type="single_stamp", address=OWNER, provider="Google")
    rows.ban(type="account", address=OWNER, provider="Google")  # not of the whole account
    rows.ban(type="hash", hash="H")
    found = bans(subject(), subject(provider="google"), subject(provider=None), subject(provider="", hash="h"))
    assert [ban["is_banned"] for ban in found] == [True, False, False, False]


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"hash": "h", "provider": "p"}, "id"),
        ({"hash": "h", "id": "i"}, "provider"),
        ({"provider": "p", "id": "i"}, "hash"),
    ],
)
def test_a_subject_names_all_three(bad: dict[str, str], where: str) -> None:
    found = refused(good("check_bans").with_(body=[subject(), {"credentialSubject": bad}]), 422)
    loc = ["body", "payload", 1, "credentialSubject", where]
    assert found == [{"type": "missing", "loc": loc, "msg": "Field required"}]


# ---- check_revocations


def test_revocations_in_the_order_of_the_request() -> None:
    for name in ("p1", "", "é'\"%s"):
        stamp = rows.stored(OWNER, f"of {name}", {})
        stamp.proof_value = name
        rows.revoked(stamp)
    values = ["p2", "p1", "", "P1", "p1", "é'\"%s", "x" * 300]
    assert asked("/internal/check-revocations", {"proof_values": values}) == [
        {"proof_value": value, "is_revoked": value in {"p1", "", "é'\"%s"}} for value in values
    ]
    assert asked("/internal/check-revocations", {"proof_values": []}) == []
    hundred = ["p1"] * 100
    assert asked("/internal/check-revocations", {"proof_values": hundred}) == [
        {"proof_value": "p1", "is_revoked": True} for _ in hundred
    ]
    too_many = good("check_revocations").with_(body={"proof_values": [*hundred, "p1"]})
    refused(too_many, 422, "You have submitted too many stamps.")


# ---- allow_list, credential_definition


NAMES = ["vip", "a b", "ümlaut", "50%", "a+b", "a#b", "a?b&c=d", "'; --", "a.b", "%s", "a:b@c"]


@pytest.mark.parametrize("name", NAMES)
def test_lists_by_any_name(name: str) -> None:
    rows.listed(name, OWNER)
    rows.listed("other", RIVAL)
    path = f"/internal/allow-list/{quote(name, safe='')}"
    for asked_for, expected in [
        (OWNER, True),
        (OWNER.upper(), True),
        (RIVAL, False),
        (OWNER[2:], False),
        ("nobody", False),
        ("x" * 500, False),
    ]:
        assert asked(f"{path}/{asked_for}") == {"is_member": expected}
    assert asked(f"/internal/allow-list/{quote(name.swapcase() + '_', safe='')}/{OWNER}") == {"is_member": False}


@pytest.mark.parametrize("name", ["a#b", "Developer List#x#0x1", "ümlaut", "100%", "plain"])
def test_definitions_by_any_id(name: str) -> None:
    definition = {"b": [1, 1.50, None, True, "é"], "a": {"10": 10**30}}
    rows.ruleset(name, definition)
    for written in {quote(name, safe=""), quote(name.replace("#", "%23"), safe="")}:
        assert asked(f"/internal/customization/credential/{written}") == {"ruleset": definition}
    refused(Request("GET", "/internal/customization/credential/Nope", headers=INTERNAL), 404, "Not Found")


@pytest.mark.parametrize("path", ["/internal/customization/credential/a/b", f"/internal/allow-list/a/b/{OWNER}"])
def test_a_slash_ends_a_part_of_a_path(path: str) -> None:
    for written in (path, path.replace("a/b", "a%2Fb")):
        assert Request("GET", written, headers=INTERNAL).send().status_code == 404


# ---- stakes


WHEN = datetime(2025, 1, 2, tzinfo=UTC)
UINT256 = 2**256 - 1


def stake(staker: str, stakee: str, amount: str, block: int = 1, chain: int = 1) -> None:
    Stake.objects.create(
        chain=chain,
        staker=staker,
        stakee=stakee,
        lock_time=WHEN,
        unlock_time=WHEN + timedelta(microseconds=10),
        last_updated_in_block=Decimal(block),
        current_amount=Decimal(amount),
    )


def test_stakes_by_and_on_an_address_digit_for_digit() -> None:
    stake(OWNER, OWNER, "0", 0)
    stake(RIVAL, OWNER, "0.000000000000000001", UINT256, chain=10)
    stake(OWNER, RIVAL, "9" * 60 + ".1", 2**64)
    stake(RIVAL, RIVAL, "1")
    expected = [
        (1, OWNER, OWNER, "0.000000000000000000", 0),
        (10, RIVAL, OWNER, "0.000000000000000001", UINT256),
        (1, OWNER, RIVAL, "9" * 60 + ".100000000000000000", 2**64),
    ]
    assert asked(f"/internal/stake/gtc/{OWNER.upper()}") == {
        "items": [
            {
                "chain": chain,
                "lock_time": "2025-01-02T00:00:00+00:00",
                "unlock_time": "2025-01-02T00:00:00.000010+00:00",
                "staker": staker,
                "stakee": stakee,
                "amount": amount,
                "last_updated_in_block": block,
            }
            for chain, staker, stakee, amount, block in expected
        ]
    }
    assert asked(f"/internal/stake/gtc/{OWNER[2:]}") == {"items": []}


def event(staker: str, address: str | None, amount: str, round_id: int = 1) -> GTCStakeEvent:
    return GTCStakeEvent.objects.create(
        event_type="Xstake",
        round_id=round_id,
        staker=staker,
        address=address,
        amount=Decimal(amount),
        staked=False,
        block_number=2**31 - 1,
        tx_hash="0x1",
    )


def test_legacy_stakes_of_a_round() -> None:
    made = [event(OWNER, None, "0"), event(RIVAL, OWNER, "1E-18"), event(OWNER, OWNER, "125")]
    made.append(event(OWNER, RIVAL, "9" * 60 + ".5"))
    event(RIVAL, None, "1")
    event(OWNER, OWNER, "1", round_id=2)
    amounts = ["0E-18", "1E-18", "125.000000000000000000", "9" * 60 + ".500000000000000000"]
    expected = {
        "results": [
            {
                "id": row.pk,
                "event_type": "Xstake",
                "round_id": 1,
                "staker": row.staker,
                "address": row.address,
                "amount": amount,
                "staked": False,
                "block_number": 2**31 - 1,
                "tx_hash": "0x1",
            }
            for row, amount in zip(made, amounts, strict=True)
        ]
    }
    for round_id in ("1", "+1", "01", "1.0", "%201"):
        assert asked(f"/internal/stake/legacy-gtc/{OWNER.upper()}/{round_id}") == expected
    for round_id in (3, -1, 2**31, -(2**31), 2**63, 10**30):
        assert asked(f"/internal/stake/legacy-gtc/{OWNER}/{round_id}") == {"results": []}


@pytest.mark.parametrize(
    ("round_id", "kind", "message"),
    [
        ("one", "int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
        ("1.5", "int_parsing", "Input should be a valid integer, unable to parse string as an integer"),
        (
            "9" * 4400,
            "int_parsing_size",
            "Unable to parse input string as an integer, exceeded maximum size",
        ),
    ],
)
def test_a_round_that_is_no_number(round_id: str, kind: str, message: str) -> None:
    request = Request("GET", f"/internal/stake/legacy-gtc/nobody/{round_id}", headers=INTERNAL)
    assert refused(request, 422) == [{"type": kind, "loc": ["path", "round_id"], "msg": message}]


# ---- contributor_statistics


def grants(*amounts: str | Decimal, owner: str = OWNER, grant: int = 1, success: bool = True) -> None:
    """Contributions to one grant."""
    profile, _ = Profile.objects.get_or_create(pk=1, defaults={"handle": "h", "data": {}})
    to, _ = Grant.objects.get_or_create(
        pk=grant, defaults={"admin_profile": profile, "hidden": False, "active": True, "data": {}}
    )
    subscription, _ = Subscription.objects.get_or_create(
        pk=grant, defaults={"grant": to, "contributor_profile": profile, "data": {}}
    )
    for amount in amounts:
        contribution = Contribution.objects.create(
            subscription=subscription, success=success, amount_per_period_usdt=Decimal(1), data={}
        )
        GrantContributionIndex.objects.create(
            profile=profile,
            contribution=contribution,
            grant=to,
            round_num=1,
            contributor_address=owner,
            amount=Decimal(amount),
        )


def protocol(*amounts: str, owner: str = OWNER, project: str = "p", round_: str = "r") -> None:
    for amount in amounts:
        number = ProtocolContributions.objects.count()
        ProtocolContributions.objects.create(
            ext_id=f"e{number}", contributor=owner, round=round_, project=project, amount=Decimal(amount), data={}
        )


def statistics(address: str = OWNER) -> tuple[float, float]:
    answer = asked(f"/internal/cgrants/contributor_statistics?address={address}")
    assert set(answer) == {"num_grants_contribute_to", "total_contribution_amount"}
    assert all(isinstance(value, float) for value in answer.values())
    return answer["num_grants_contribute_to"], answer["total_contribution_amount"]


def test_nothing_contributed() -> None:
    assert statistics() == (0.0, 0.0)


def test_grants_and_projects_are_counted_once_and_summed() -> None:
    grants("1.25", "1.25")
    grants("2", grant=2)
    grants("100", grant=3, success=False)
    grants("100", owner=RIVAL, grant=4)
    protocol("1", "2.5")
    protocol("3", project="q", round_="s")
    protocol("100", owner=RIVAL, project="other")
    assert statistics() == (4.0, 11.0)
    assert statistics(OWNER.upper()) == (4.0, 11.0)


@pytest.mark.parametrize(
    ("amount", "counts"),
    [("0.95", True), ("0.949999999999999999", False), ("0.950000000000000001", True), ("0", False)],
)
def test_small_contributions_to_the_protocol_do_not_count(amount: str, counts: bool) -> None:
    protocol(amount)
    assert statistics() == ((1.0, 0.95) if counts else (0.0, 0.0))


@pytest.mark.parametrize(
    ("given", "projects", "total"),
    [
        (["46.445"], [], 46.44),  # as floats: 46.45
        (["46.455"], [], 46.46),
        ([], ["46.445"], 46.44),
        ([], ["46.4445"], 46.44),
        ([], ["46.4455"], 46.45),  # to 46.446 first
        ([], ["46.44550", "0.9999"], 47.44),
        (["0.1"] * 3, [], 0.3),  # as floats: 0.30000000000000004
        (["1.005"], [], 1.0),
        (["2.675"], [], 2.68),  # as floats: 2.67
        (["0.004999999999999999"], [], 0.0),
        (["0.005"], ["1.0005"], 1.0),  # 1.000 and 0.005: half to even
        (["0.005000000000000001"], ["1"], 1.01),
        (["10000000000000000000.25"], [], 10000000000000000000.25),
        (["-5.555"], [], -5.56),
    ],
)  # fmt: skip
def test_sums_are_decimal_and_every_rounding_is_half_even(given: list[str], projects: list[str], total: float) -> None:
    grants(*given)
    protocol(*projects)
    assert statistics()[1] == total


@pytest.mark.parametrize("signal", [True, False])
def test_rounds_an_address_is_squelched_in(signal: bool) -> None:
    for number, round_ in [("1", "r1"), ("1", "r1b"), ("2", "r2")]:
        RoundMapping.objects.create(round_number=number, round_eth_address=round_)
    for owner, number in [(OWNER, "1"), (RIVAL, "2"), (OWNER, "unmapped")]:
        SquelchedAccounts.objects.create(
            address=owner, round_number=number, sybil_signal=signal, score_when_squelched=Decimal(1)
        )
    protocol("10", project="a", round_="r1")
    protocol("20", project="b", round_="r1b")
    protocol("40", project="c", round_="r2")
    protocol("80", project="d", round_="unmapped")
    assert statistics() == (2.0, 120.0)


# ---- keys


@pytest.mark.parametrize("limit", ["2000/15m", "", None])
def test_the_rate_limit_of_a_partner(limit: str | None, one: Community) -> None:
    rows.api_key(one.account, "partner1.secret", embed_rate_limit=limit, read_scores=False)
    path = "/internal/embed/validate-api-key"
    assert asked(path, headers=key("partner1.secret")) == {"embed_rate_limit": limit}
    assert asked(path, headers={"Authorization": "Anything partner1.secret"}) == {"embed_rate_limit": limit}
    both = {"X-API-Key": "partner1.wrong", "Authorization": "Bearer partner1.secret"}
    refused(Request("GET", path, headers=both), 401, "Invalid API Key.")
    assert asked(path, headers=both | {"X-API-Key": ""}) == {"embed_rate_limit": limit}
