"""Random databases and requests of the host, for hypothesis.

Nothing drawn here asks for what the contract's section 7 changes, save what is called `odd`.
"""

import copy
import dataclasses
from functools import cache
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from hypothesis import strategies as st

from api.account.models import hash_key_sha256
from api.demo_issuer import ISSUERS, Proof, sign_credential
from tests.host import world
from tests.host.asks import Ask
from tests.host.both_sides import Rows

OWNER = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
OWNER_MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
OTHER = "0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
BARE = OWNER[2:]  # another address than OWNER: nothing adds the prefix
PEOPLE = (OWNER, OTHER, BARE)
PROVIDERS = ("Google", "Biometrics", "SelfStakingBronze", "HolonymPhone", "AllowList#vip", "Unknown")
LISTS = ("MetaMaskOG2", "SeasonedPassportOGs", "TheChosenOnes", "vip")
LIMITED_KEY = "hostKEY3.once-in-a-quarter"
OLD_KEY = "hostKEY4.not-migrated-yet"
COMMUNITIES = (1, 2, 3, 4, 5)
SHARED = ("v0.0.0:one", "v0.0.0:two", "v1.0.0:three", "v1.0.0:four")
FUTURE = (
    "2099-01-01T00:00:00Z",
    "2098-06-01T12:00:00.250+05:30",
    "2097-12-31T23:59:59.999999-08:00",
    "2098-06-01t06:30:00.2500001-00:00",
    "9999-12-31T23:59:59Z",
)
PAST = "2024-02-29T00:00:00Z"
BEFORE = "2025-06-01T00:00:00+00:00"
EARNED = (
    ("HKY", 0, "Google"),
    ("HKY", 0, "Biometrics"),
    ("HBI", 0, ""),
    ("ISB", 0, ""),
    ("ISB", 10, ""),
    ("HIM", 10, ""),
    ("SCB", 0, ""),
    ("HKY", 10, "HolonymPhone"),
    ("MM2", 0, ""),
)


class PBKDF2(PBKDF2PasswordHasher):
    iterations = 10


OPERATIONS = (
    "v2_score",
    "internal_score",
    "embed_score",
    "embed_add_stamps",
    "cache_add_stamps",
    "cache_patch_stamps",
    "cache_delete_stamps",
    "cache_get_score",
    "cache_calc_score",
    "cache_get_stamps",
)
# ---- rows


@cache
def signed(
    owner: str,
    provider: str,
    nullifiers: tuple[str, ...] | None,
    hash: str | None,
    expires: str,
    proof: Proof,
) -> dict[str, Any]:
    return sign_credential(
        owner,
        provider,
        nullifiers=None if nullifiers is None else list(nullifiers),
        hash=hash,
        issued=BEFORE,
        expires=expires,
        proof=proof,
    )


def key_row(key: str) -> dict[str, Any]:
    prefix = key.partition(".")[0]
    return {
        "id": f"{prefix}.{hash_key_sha256(key)}",
        "prefix": prefix,
        "hashed_key": hash_key_sha256(key),
        "hashed_key_sha256": hash_key_sha256(key),
        "created": BEFORE,
        "name": "host",
        "revoked": False,
        "account_id": 1,
        "rate_limit": "",
        "create_scorers": False,
        "read_scores": True,
        "submit_passports": True,
        "historical_endpoint": False,
    }


def base() -> Rows:
    """Two accounts, the first with a good key and a revoked one; what actions earn."""
    return {
        "auth_user": [
            {
                "id": number,
                "password": "!",
                "is_superuser": False,
                "username": f"user{number}",
                "first_name": "",
                "last_name": "",
                "email": "",
                "is_staff": False,
                "is_active": True,
                "date_joined": BEFORE,
            }
            for number in (1, 2)
        ],
        "account_account": [{"id": number, "address": f"0x{number:040x}", "user_id": number} for number in (1, 2)],
        "account_accountapikey": [
            key_row(world.API_KEY),
            {**key_row(world.REVOKED_KEY), "revoked": True},
            {**key_row(LIMITED_KEY), "rate_limit": "1/15m"},
            {**key_row(OLD_KEY), "hashed_key": PBKDF2().encode(OLD_KEY, "salt"), "hashed_key_sha256": None},
        ],
        "registry_humanpointsconfig": [
            {"id": number, "action": action, "points": points, "active": action != "HPH"}
            for number, (action, points) in enumerate(world.POINTS.items(), start=1)
        ],
    }


weight = st.one_of(
    st.sampled_from(["1.5", "16.021", "0.69", "20", "0", "3.00", "1e1", "5E-6", " 2.5 ", "-1.5", "0.000005"]),
    st.sampled_from([1.5, 7.123, 20, 0.1, 5e-06, 0, -0.25, 1.000015, 1e16]),
)


@st.composite
def communities(draw: st.DrawFn) -> Rows:
    """Five with their weights; the third may answer to another's number, too."""
    rows: Rows = {
        "scorer_weighted_scorer": [],
        "scorer_weighted_weightedscorer": [],
        "scorer_weighted_binaryweightedscorer": [],
        "account_community": [],
    }
    for number in COMMUNITIES:
        kind = draw(st.sampled_from(["WEIGHTED", "WEIGHTED_BINARY"]))
        rows["scorer_weighted_scorer"].append({"id": 100 + number, "type": kind, "exclude_from_weight_updates": False})
        rows[f"scorer_weighted_{'' if kind == 'WEIGHTED' else 'binary'}weightedscorer"].append(
            {
                "scorer_ptr_id": 100 + number,
                "weights": draw(st.dictionaries(st.sampled_from(PROVIDERS), weight).filter(bool)),
                "threshold": draw(st.sampled_from(["20.00000", "1.50000", "0.00001"])),
            }
        )
        rows["account_community"].append(
            {
                "id": number,
                "name": f"community {number}",
                "description": "",
                "account_id": draw(st.sampled_from([1, 1, 2])),
                "scorer_id": 100 + number,
                "created_at": BEFORE,
                "rule": "LIFO",
                "deleted_at": draw(st.sampled_from([None, None, BEFORE])),
                "external_scorer_id": draw(st.sampled_from([None, "1", "2", "2", "777"])) if number == 3 else None,
                "human_points_program": draw(st.booleans()),
            }
        )
    return rows


@st.composite
def customizations(draw: st.DrawFn) -> Rows:
    """Lists and their members, and for one community the weights of a list and of a credential."""
    rows: Rows = {
        "account_addresslist": [{"id": number, "name": name} for number, name in enumerate(LISTS, start=1)],
        "account_addresslistmember": [
            {"id": number, "address": member, "list_id": listed}
            for number, (member, listed) in enumerate(
                sorted(draw(st.sets(st.tuples(st.sampled_from(PEOPLE), st.integers(1, len(LISTS)))))), start=1
            )
        ],
    }
    if draw(st.booleans()):
        rows["account_customization"] = [
            {
                "id": 1,
                "path": "acme",
                "scorer_id": draw(st.sampled_from([1, 2])),
                "partner_name": "Acme",
                "use_custom_dashboard_panel": False,
                "body_display_info_tooltip": False,
                "button_action_type": "Simple Link",
                "show_explanation_panel": True,
                "nav_order": 0,
                "show_in_top_nav": False,
            }
        ]
        rows["account_allowlist"] = [
            {
                "id": 1,
                "weight": draw(st.sampled_from(["10.5000", "0.0000"])),
                "address_list_id": 4,
                "customization_id": 1,
            }
        ]
        rows["account_customplatform"] = [{"id": 1, "platform_type": "DEVEL", "name": "dev", "is_evm": True}]
        rows["account_customcredentialruleset"] = [
            {
                "id": 1,
                "credential_type": "DEVEL",
                "definition": {"condition": {"AND": []}},
                "name": "c",
                "provider_id": "Google",
            }
        ]
        rows["account_customcredential"] = [
            {
                "id": 1,
                "weight": draw(st.sampled_from(["4.2500", "0.0000", "-1.0000"])),
                "display_name": "c",
                "customization_id": 1,
                "platform_id": 1,
                "ruleset_id": 1,
            }
        ]
    return rows


@st.composite
def credentials(draw: st.DrawFn, provider: str, owner: str = OWNER) -> dict[str, Any]:
    """Mostly good ones; also expired, of another address, tampered with, or of the older format."""
    flaw = draw(st.sampled_from([*[None] * 9, "expired", "other", "tampered"]))
    hash = draw(st.sampled_from([None, None, None, f"v0.0.0:hash:{provider}", "v1:hash"]))
    nullifiers = draw(
        st.one_of(
            st.none(),
            st.lists(st.sampled_from(SHARED), min_size=1, max_size=3, unique=True).map(tuple),
        )
    )
    if flaw == "other":
        subject_owner = draw(st.sampled_from([person for person in PEOPLE if person != owner]))
    else:
        subject_owner = draw(st.sampled_from([owner, owner, OWNER_MIXED if owner == OWNER else owner.upper()]))
    has_both = draw(st.sampled_from([False, False, True]))
    expires = PAST if flaw == "expired" else draw(st.sampled_from(FUTURE))
    subject = draw(st.sampled_from([provider, provider, provider, "Biometrics"]))
    proof: Proof = draw(st.sampled_from(["eip712", "eip712", "ed25519"]))
    marks = nullifiers if has_both or not hash else None
    credential = copy.deepcopy(signed(subject_owner, subject, marks, hash, expires, proof))
    if flaw == "tampered":
        credential["issuanceDate"] = "2025-06-01T00:00:01.000Z"
    return credential


def cache_row(number: int, provider: str, credential: dict[str, Any], **changed: Any) -> dict[str, Any]:
    proof = credential["proof"]
    return {
        "id": number,
        "address": OWNER,
        "provider": provider,
        "stamp": credential,
        "created_at": BEFORE,
        "updated_at": BEFORE,
        "type": 1,
        "deleted_at": None,
        "compose_db_save_status": "pending",
        "compose_db_stream_id": "",
        "expiration_date": credential["expirationDate"],
        "issuance_date": credential["issuanceDate"],
        "proof_value": proof.get("proofValue") or proof["jws"][:256],
        "source_app": 1,
        "source_scorer_id": None,
        **changed,
    }


@st.composite
def kept_stamps(draw: st.DrawFn) -> Rows:
    """What the addresses keep: live stamps, and some deleted, revoked, or of the other type."""
    rows: Rows = {"ceramic_cache_ceramiccache": [], "ceramic_cache_revocation": []}
    chosen = [(OWNER, name) for name in draw(st.lists(st.sampled_from(PROVIDERS), min_size=2, max_size=5, unique=True))]
    for person in PEOPLE[1:]:
        few = draw(st.lists(st.sampled_from(PROVIDERS[:4]), max_size=2, unique=True))
        chosen += [(person, name) for name in few]
    for number, (owner, provider) in enumerate(draw(st.permutations(chosen)), start=11):
        credential = draw(credentials(provider, owner))
        state = draw(st.sampled_from(["live"] * 6 + ["deleted", "revoked", "V2"]))
        row = cache_row(number, provider, credential, address=owner)
        if state == "deleted":
            row["deleted_at"] = BEFORE
        elif state == "V2":
            row["type"] = 2
        elif state == "revoked":
            rows["ceramic_cache_revocation"].append(
                {"id": number, "proof_value": row["proof_value"], "ceramic_cache_id": number}
            )
        rows["ceramic_cache_ceramiccache"].append(row)
    return rows


@st.composite
def links(draw: st.DrawFn) -> Rows:
    own = [f"v0.0.0:{provider}:{person}" for provider in PROVIDERS[:3] for person in PEOPLE[:2]]
    names = [*SHARED, *own, "v0.0.0:hash:Google", "v1:hash"]
    held = draw(
        st.lists(
            st.tuples(
                st.sampled_from(names),
                st.sampled_from([*PEOPLE, OTHER]),
                st.sampled_from([1, 2, 2, 3]),
                st.sampled_from([*FUTURE, PAST]),
            ),
            min_size=3,
            max_size=8,
            unique_by=lambda link: (link[0], link[2]),
        )
    )
    return {
        "registry_hashscorerlink": [
            {"id": number, "hash": name, "address": owner, "community_id": community, "expires_at": expires}
            for number, (name, owner, community, expires) in enumerate(held, start=1)
        ]
    }


def stored_score(number: int, state: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": number,
        "passport_id": number,
        "status": "DONE",
        "score": "1.000000000",
        "error": None,
        "last_score_timestamp": BEFORE,
        "evidence": {
            "type": "ThresholdScoreCheck",
            "success": True,
            "rawScore": "33.25",
            "threshold": "20.00000",
        },
        "stamp_scores": {"Google": 33.25},
        "stamps": {"Google": {"score": "33.25000", "dedup": False, "expiration_date": FUTURE[0]}},
        "expiration_date": FUTURE[1],
    }
    if state in {"error", "expired error", "begun"}:
        empty = ("score", "last_score_timestamp", "evidence", "stamp_scores", "stamps")
        row.update(dict.fromkeys(empty), status="ERROR", error="it failed")
    if state == "begun":
        row.update(status="PROCESSING", error=None)
    if state in {"endless", "error", "begun"}:
        row["expiration_date"] = None
    elif "expired" in state:
        row["expiration_date"] = PAST
    return row


@st.composite
def earlier(draw: st.DrawFn) -> Rows:
    """What earlier scorings left: passports, scores, counting stamps, points."""
    rows: Rows = {"registry_passport": [], "registry_score": [], "registry_stamp": []}
    for number in sorted(draw(st.sets(st.sampled_from([1, 2, 3])))):
        rows["registry_passport"].append({"id": number, "address": OWNER, "community_id": number})
        state = draw(st.sampled_from(["none", "good", "endless", "expired", "error", "expired error", "begun"]))
        if state != "none":
            rows["registry_score"].append(stored_score(number, state))
        for provider in draw(st.lists(st.sampled_from(["Google", "Gone"]), max_size=2)):
            rows["registry_stamp"].append(
                {
                    "id": len(rows["registry_stamp"]) + 1,
                    "passport_id": number,
                    "provider": provider,
                    "credential": signed(OWNER, "Google", None, None, FUTURE[0], "eip712"),
                }
            )
    actions = draw(st.lists(st.sampled_from(EARNED), max_size=3, unique=True))
    rows["registry_humanpoints"] = [
        {
            "id": number,
            "address": OWNER,
            "action": action,
            "timestamp": BEFORE,
            "tx_hash": "v0.0.0:older" if action == "HKY" else "",
            "chain_id": chain,
            "provider": provider,
        }
        for number, (action, chain, provider) in enumerate(actions, start=1)
    ]
    rows["registry_humanpointscommunityqualifiedusers"] = [
        {"id": number, "address": OWNER, "community_id": number}
        for number in sorted(draw(st.sets(st.sampled_from(COMMUNITIES))))
    ]
    if draw(st.booleans()):
        rows["registry_humanpointsmultiplier"] = [{"address": OWNER, "multiplier": 3}]
    return rows


def merged(*parts: Rows) -> Rows:
    rows: Rows = {}
    for part in parts:
        for table, some in part.items():
            rows.setdefault(table, []).extend(some)
    return rows


databases = st.builds(merged, st.builds(base), communities(), customizations(), kept_stamps(), links(), earlier())

# ---- requests

addresses = st.sampled_from([*[OWNER] * 8, OWNER_MIXED, OWNER_MIXED, OWNER[2:], OTHER, "0x1"])
scorer_ids = st.sampled_from([*[1, 2, 2, 3] * 3, -1, 99, 10**24, "002", "+2", "2.0", "x"])
INTERNAL = {"Authorization": world.INTERNAL_TOKEN}
KEY = {"X-API-Key": world.API_KEY}
keys = st.sampled_from(
    [
        *[KEY] * 4,
        {"X-API-Key": LIMITED_KEY},
        {"X-API-Key": OLD_KEY, "Cookie": "a=b", "Authorization": "Bearer mine"},
        {"Authorization": f"Token {world.API_KEY}"},
        {"X-API-Key": world.REVOKED_KEY},
        {"X-API-Key": "hostKEY4.wrong", "Authorization": f"Bearer {OLD_KEY}"},
        {"X-API-Key": "demo"},
        {},
    ]
)


def bearer(owner: str = OWNER) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.token(owner)}"}


@st.composite
def posted(draw: st.DrawFn, owner: str, *, least: int = 0) -> list[dict[str, Any]]:
    """Entries for several providers, each with a stamp of the newer proof format (the older is refused)."""
    entries = []
    for provider in draw(st.lists(st.sampled_from(PROVIDERS[:4]), min_size=least, max_size=3, unique=True)):
        credential = draw(credentials(provider, owner).filter(lambda stamp: "proofValue" in stamp["proof"]))
        entries.append({"provider": provider, "stamp": credential})
    return entries


def distinct_subjects(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_subject = {entry["stamp"]["credentialSubject"]["provider"]: entry["stamp"] for entry in entries}
    return list(by_subject.values())


MALFORMED: tuple[Any, ...] = (None, {}, [], "text", [None], [{"stamp": {}}], [{"provider": 7}], {"scorer_id": "x"})


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """A request; one in eight without what it is let in by, or with a body of another shape."""
    ask = draw(good_asks())
    match draw(st.sampled_from([*[None] * 7, "unknown", "malformed"])):
        case "unknown" if ask.headers:
            return dataclasses.replace(ask, headers=draw(st.sampled_from([{}, {"Authorization": "Bearer x"}])))
        case "malformed" if ask.body is not None:
            return dataclasses.replace(ask, body=draw(st.sampled_from(MALFORMED)))
    return ask


@st.composite
def good_asks(draw: st.DrawFn) -> Ask:
    operation = draw(st.sampled_from(OPERATIONS))
    asker = draw(st.sampled_from([OWNER, OWNER, *PEOPLE]))
    address = draw(addresses) if asker == OWNER else asker
    scorer = draw(scorer_ids)
    match operation:
        case "v2_score":
            query = draw(st.sampled_from(["", "", "?a=1&a=2&b="]))
            return Ask("GET", f"/v2/stamps/{scorer}/score/{address}{query}", None, draw(keys))
        case "internal_score":
            return Ask("GET", f"/internal/score/v2/{scorer}/{address}", None, INTERNAL)
        case "embed_score":
            return Ask("GET", f"/internal/embed/score/{scorer}/{address}")
        case "embed_add_stamps":
            # An unknown scorer is section 7's.
            payload = {
                "scorer_id": draw(st.sampled_from([1, 2, 3, "2"])),
                "stamps": distinct_subjects(draw(posted(asker))),
            }
            return Ask("POST", f"/internal/embed/stamps/{address}", payload, INTERNAL)
        case "cache_add_stamps":
            return Ask("POST", "/ceramic-cache/stamps/bulk", draw(posted(asker)), bearer(asker))
        case "cache_patch_stamps":
            removed = draw(st.lists(st.sampled_from(PROVIDERS), max_size=2))
            entries = [*draw(posted(asker)), *({"provider": provider} for provider in removed)]
            return Ask("PATCH", "/ceramic-cache/stamps/bulk", entries, bearer(asker))
        case "cache_delete_stamps":
            named = draw(st.lists(st.sampled_from(PROVIDERS), max_size=3))
            entries = [{"provider": provider} for provider in named]
            return Ask("DELETE", "/ceramic-cache/stamps/bulk", entries, bearer(asker))
        case "cache_get_score":
            query = draw(st.sampled_from(["", f"?alternate_scorer_id={scorer}"]))
            return Ask("GET", f"/ceramic-cache/score/{address}{query}", None, bearer(asker))
        case "cache_calc_score":
            payload = {"alternate_scorer_id": scorer}
            return Ask("POST", f"/ceramic-cache/score/{address}", payload, bearer(asker))
        case _:
            return Ask("GET", f"/ceramic-cache/stamp?address={address}")


switches = st.fixed_dictionaries(
    {
        "FF_MULTI_NULLIFIER": st.sampled_from(["on", "off"]),
        "FF_API_ANALYTICS": st.sampled_from(["on", "off"]),
        "HUMAN_POINTS_ENABLED": st.booleans(),
        "HUMAN_POINTS_MTA_ENABLED": st.booleans(),
        "HUMAN_POINTS_START_TIMESTAMP": st.sampled_from([0, 0, 0, 4_000_000_000]),
        "CERAMIC_CACHE_SCORER_ID": st.sampled_from(["1", 2, 3]),
        "TRUSTED_IAM_ISSUERS": st.sampled_from([list(ISSUERS.values()), [ISSUERS["eip712"]]]),
    }
)


# ---- look-ups


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": number, **row} for number, row in enumerate(rows, start=1)]


def several(most: int, **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(columns), max_size=most).map(numbered)


def once(rows: list[dict[str, Any]], *columns: str) -> list[dict[str, Any]]:
    """The rows without those that bear the same values in these columns."""
    return list({tuple(row[column] for column in columns): row for row in rows}.values())


people = st.sampled_from([OWNER, OWNER, OTHER])
amounts = st.decimals(min_value=0, max_value=10**9, places=18).map(str) | st.sampled_from(
    ["0", "0.95", "0.949999999999999999", "46.445", "46.4445", "0.000000000000000001"]
)
rounds = st.sampled_from(["0x" + "5" * 40, "0x" + "6" * 40])


@st.composite
def banned(draw: st.DrawFn) -> Rows:
    return {
        "ceramic_cache_ban": draw(
            several(
                6,
                type=st.sampled_from(["account", "hash", "single_stamp"]),
                address=st.sampled_from([OWNER, OTHER, ""]),
                hash=st.sampled_from(["h1", "h2", ""]),
                provider=st.sampled_from(["Google", "Ens", ""]),
                end_time=st.sampled_from([None, PAST, "2090-01-01T00:00:00.999999+00:00", FUTURE[0]]),
                reason=st.sampled_from([None, "sybil"]),
                created_at=st.just(BEFORE),
            )
        )
    }


@st.composite
def staked(draw: st.DrawFn) -> Rows:
    stakes = several(
        5,
        chain=st.sampled_from([1, 10, 42161]),
        lock_time=st.sampled_from([BEFORE, "2025-01-01T00:00:00.120000+00:00"]),
        unlock_time=st.just(FUTURE[0]),
        last_updated_in_block=st.integers(0, 2**256 - 1),
        staker=people,
        stakee=people,
        current_amount=amounts,
    )
    events = several(
        5,
        event_type=st.sampled_from(["SelfStake", "Xstake"]),
        round_id=st.sampled_from([1, 2]),
        staker=people,
        address=st.none() | people,
        amount=amounts,
        staked=st.booleans(),
        block_number=st.integers(0, 2**31 - 1),
        tx_hash=st.just("0x" + "1" * 64),
    )
    once = draw(stakes.filter(lambda rows: len({(r["staker"], r["stakee"], r["chain"]) for r in rows}) == len(rows)))
    return {"stake_stake": once, "registry_gtcstakeevent": draw(events)}


@st.composite
def contributed(draw: st.DrawFn) -> Rows:
    contributions = several(
        6,
        contributor=people,
        round=rounds,
        project=st.sampled_from("pqr"),
        amount=amounts,
        data=st.just({}),
    )
    protocol = draw(contributions)
    for row in protocol:
        row["ext_id"] = str(row["id"])
    mapped = draw(several(2, round_number=st.just("1"), round_eth_address=rounds))
    return {
        "cgrants_profile": [{"id": 1, "handle": "h", "data": {}}],
        "cgrants_grant": [
            {
                "id": n,
                "hidden": False,
                "active": True,
                "is_clr_eligible": True,
                "data": {},
                "admin_profile_id": 1,
            }
            for n in (1, 2)
        ],
        "cgrants_subscription": [{"id": 1, "data": {}, "grant_id": 1, "is_mainnet": True}],
        "cgrants_contribution": [
            {
                "id": number,
                "data": {},
                "subscription_id": 1,
                "success": number == 1,
                "amount_per_period_usdt": "1",
            }
            for number in (1, 2)
        ],
        "cgrants_grantcontributionindex": draw(
            several(
                6,
                round_num=st.just(1),
                amount=amounts,
                contribution_id=st.sampled_from([None, 1, 1, 2]),
                grant_id=st.sampled_from([1, 2]),
                profile_id=st.just(1),
                contributor_address=people,
            )
        ),
        "cgrants_protocolcontributions": protocol,
        "cgrants_squelchedaccounts": draw(
            several(
                2,
                address=people,
                score_when_squelched=st.just("0"),
                sybil_signal=st.booleans(),
                round_number=st.sampled_from(["1", "2"]),
            )
        ),
        "cgrants_roundmapping": once(mapped, "round_eth_address"),
    }


subjects = st.fixed_dictionaries(
    {
        "hash": st.sampled_from(["h1", "h2", "", "other"]),
        "provider": st.sampled_from(["Google", "Ens", "", None]),
        "id": st.sampled_from([f"did:pkh:eip155:1:{OWNER}"] * 4 + [f"did:pkh:eip155:1:{OWNER_MIXED}", ""]),
    }
)
LOOK_UPS = (
    "check_bans",
    "check_revocations",
    "allow_list",
    "credential_definition",
    "gtc_stake",
    "legacy_gtc_stake",
    "contributor_statistics",
    "embed_weights",
    "cache_weights",
    "embed_validate_api_key",
)


@st.composite
def look_ups(draw: st.DrawFn) -> Ask:
    wrong = OWNER_MIXED[:-1] + "D"
    bare = (BARE, OWNER_MIXED[2:])
    address = draw(st.sampled_from([OWNER, OWNER_MIXED, wrong, OWNER.upper(), *bare, OTHER, "0x1"]))
    match draw(st.sampled_from(LOOK_UPS)):
        case "check_bans":
            payload = [{"credentialSubject": subject} for subject in draw(st.lists(subjects, max_size=4))]
            return Ask("POST", "/internal/check-bans", payload, INTERNAL)
        case "check_revocations":
            values = draw(st.lists(st.sampled_from(["p11", "p12", ""]), max_size=4) | st.just(["p"] * 101))
            return Ask("POST", "/internal/check-revocations", {"proof_values": values}, INTERNAL)
        case "allow_list":
            return Ask("GET", f"/internal/allow-list/{draw(st.sampled_from(LISTS))}/{address}", None, INTERNAL)
        case "credential_definition":
            provider = draw(st.sampled_from(["Google", "None", "a%23b", "a%2523b"]))
            return Ask("GET", f"/internal/customization/credential/{provider}", None, INTERNAL)
        case "gtc_stake":
            return Ask("GET", f"/internal/stake/gtc/{address}", None, INTERNAL)
        case "legacy_gtc_stake":
            number = draw(st.sampled_from(["1", "2", "-1", "x"]))
            return Ask("GET", f"/internal/stake/legacy-gtc/{address}/{number}", None, INTERNAL)
        case "contributor_statistics":
            return Ask("GET", f"/internal/cgrants/contributor_statistics?address={address}", None, INTERNAL)
        case "embed_weights":
            return Ask("GET", f"/internal/embed/weights{draw(st.sampled_from(['', '?community_id=2']))}")
        case "cache_weights":
            return Ask("GET", "/ceramic-cache/weights")
        case _:
            headers = draw(st.sampled_from([KEY, {}, {"X-API-Key": "hostKEY1.wrong"}]))
            return Ask("GET", "/internal/embed/validate-api-key", None, headers)


looked_up = st.builds(merged, st.builds(base), communities(), customizations(), banned(), staked(), contributed())


# ---- what section 7 changes: requests and rows the host fails on


def strip(credential: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy without the field at this path."""
    copied = copy.deepcopy(credential)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copied


def replace(credential: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    copied = copy.deepcopy(credential)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copied


GOOD = signed(OWNER, "Google", None, None, FUTURE[0], "eip712")
UNUSABLE: tuple[Any, ...] = (
    strip(GOOD, "proof"),
    strip(GOOD, "proof", "proofValue"),
    replace(GOOD, None, "proof"),
    replace(GOOD, 7, "proof", "proofValue"),
    replace(GOOD, "x" * 300, "proof", "proofValue"),
    signed(OWNER, "Google", None, None, FUTURE[0], "ed25519"),
    replace(GOOD, "no date", "expirationDate"),
    replace(GOOD, "2025-13-01T00:00:00Z", "issuanceDate"),
    replace(GOOD, "a\x00b", "credentialSubject", "nullifiers"),
    "text",
    7,
    [],
)
WITHOUT_PROVIDER = (
    strip(GOOD, "credentialSubject"),
    strip(GOOD, "credentialSubject", "provider"),
    replace(GOOD, None, "credentialSubject"),
    replace(GOOD, "x" * 300, "credentialSubject", "provider"),
)
UNREADABLE = (
    strip(GOOD, "expirationDate"),
    replace(GOOD, "2099-01-01T00:00:00", "expirationDate"),
    replace(GOOD, None, "expirationDate"),
    strip(GOOD, "credentialSubject"),
    replace(GOOD, [7], "credentialSubject", "nullifiers"),
    replace(GOOD, ["v0" + "x" * 120], "credentialSubject", "nullifiers"),
)


def bearer_without_address() -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from(["", "0x1", "did:pkh:eip155:1:"]).map(
        lambda owner: {"Authorization": f"Bearer {world.token(owner)}"}
    )


@st.composite
def odd_asks(draw: st.DrawFn) -> Ask:
    """A request that section 7 answers otherwise than the host."""
    bad = draw(st.sampled_from(UNUSABLE))
    subject = {"hash": "h1", "provider": "Google", "id": f"did:pkh:eip155:1:{OWNER}"}
    posts = {
        "cache_add_stamps": ("POST", [{"provider": "Google", "stamp": bad}]),
        "twice": ("POST", [{"provider": "Google", "stamp": GOOD}] * 2),
        "long": ("POST", [{"provider": "x" * 300, "stamp": GOOD}]),
        "cache_patch_stamps": ("PATCH", [{"provider": "Google", "stamp": bad}, {"provider": "Ens"}]),
        "too_many": ("PATCH", [{"provider": "Google"}] * 101),
    }
    embeds = {
        "embed_add_stamps": {"scorer_id": 2, "stamps": [draw(st.sampled_from([bad, *WITHOUT_PROVIDER]))]},
        "unknown_scorer": {"scorer_id": 99, "stamps": [GOOD]},
    }
    kind = draw(
        st.sampled_from([*posts, *embeds, "no_address", "calc", "hash", "id", "weights", "another", "revoked_key"])
    )
    if kind in posts:
        method, payload = posts[kind]
        return Ask(method, "/ceramic-cache/stamps/bulk", payload, bearer())
    if kind in embeds:
        return Ask("POST", f"/internal/embed/stamps/{OWNER}", embeds[kind], INTERNAL)
    match kind:
        case "no_address":
            headers = draw(bearer_without_address())
            return Ask("DELETE", "/ceramic-cache/stamps/bulk", [{"provider": "Google"}], headers)
        case "calc":
            return Ask("POST", f"/ceramic-cache/score/{OWNER}", {"alternate_scorer_id": None}, bearer())
        case "hash" | "id":
            payload = [{"credentialSubject": {**subject, kind: None}}]
            return Ask("POST", "/internal/check-bans", payload, INTERNAL)
        case "weights":
            number = draw(st.sampled_from(["abc", "99", "1.5", str(10**24)]))
            return Ask("GET", f"/internal/embed/weights?community_id={number}")
        case "another":
            return Ask("GET", f"/ceramic-cache/score/{OTHER}", None, bearer())
        case _:
            return Ask("GET", "/internal/embed/validate-api-key", None, {"X-API-Key": world.REVOKED_KEY})


@st.composite
def with_unreadable_stamp(draw: st.DrawFn) -> Rows:
    """Rows of a database in which one stamp cannot be read."""
    rows = draw(databases)
    bad = draw(st.sampled_from(UNREADABLE))
    row = cache_row(90, "Unreadable", GOOD) | {"stamp": bad}
    return merged(rows, {"ceramic_cache_ceramiccache": [row]})
