"""One example of each operation for the OpenAPI document: parameters, body and good answer.

They are what the demo data of this repository answers (`make run`), so that they can be tried as they stand;
credentials are shortened. A test holds each to the schemas it stands beside.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ADDRESS = "0x1000000000000000000000000000000000000001"
EXPIRES = "2027-02-26T08:00:00+00:00"
SCORED = "2026-11-28T08:00:00.123456+00:00"


class Example(NamedTuple):
    """What is sent and what is answered; ``parameters`` by name, of the path and of the query."""

    answer: Any
    parameters: dict[str, Any] = {}
    body: Any = None


def _credential(provider: str) -> dict[str, Any]:
    return {
        "type": ["VerifiableCredential"],
        "issuer": "did:ethr:0xc686685b70777e5e1c5f878c2b26b806ddb5f9f1",
        "issuanceDate": "2026-11-28T08:00:00.000Z",
        "expirationDate": "2027-02-26T08:00:00.000Z",
        "credentialSubject": {
            "id": f"did:pkh:eip155:1:{ADDRESS}",
            "provider": provider,
            "nullifiers": [f"v1:{provider}:nullifier"],
        },
        "proof": {"type": "EthereumEip712Signature2021", "proofValue": "0x…"},
    }


def _stamp(score: str) -> dict[str, Any]:
    return {"score": score, "dedup": False, "expiration_date": EXPIRES}


SCORE = {
    "address": ADDRESS,
    "score": "8.62300",
    "passing_score": False,
    "last_score_timestamp": SCORED,
    "expiration_timestamp": EXPIRES,
    "threshold": "20.00000",
    "error": None,
    "stamps": {"Google": _stamp("1.50000"), "Github": _stamp("7.12300")},
    "points_data": None,
    "possible_points_data": None,
    "linked_score": None,
}
POINTS = {"total_points": 270, "is_eligible": True, "multiplier": 1, "breakdown": {"HBI": 120, "HCH": 75, "HKY": 75}}
STAMPS = {
    "success": True,
    "stamps": [{"id": 1, "address": ADDRESS, "provider": "Google", "stamp": _credential("Google")}],
}
STAMPS_AND_SCORE = {**STAMPS, "score": SCORE}
WEIGHTS = {"Google": 1.5, "Github": 7.123, "Biometrics": 16.021}
ENTRIES = [{"provider": "Google", "stamp": _credential("Google")}]
SCORER_AND_ADDRESS = {"scorer_id": 1, "address": ADDRESS}

EXAMPLES: dict[str, Example] = {
    "v2_score": Example(SCORE, SCORER_AND_ADDRESS),
    "internal_score": Example(SCORE, SCORER_AND_ADDRESS),
    "embed_score": Example(STAMPS_AND_SCORE, SCORER_AND_ADDRESS),
    "embed_add_stamps": Example(
        STAMPS_AND_SCORE, {"address": ADDRESS}, {"scorer_id": 1, "stamps": [_credential("Google")]}
    ),
    "embed_validate_api_key": Example({"embed_rate_limit": "2000/15m"}),
    "embed_weights": Example(WEIGHTS, {"community_id": "1"}),
    "embed_config": Example(
        {
            "weights": WEIGHTS,
            "stamp_sections": [
                {"title": "Physical Verification", "order": 1, "items": [{"platform_id": "CleanHands", "order": 1}]}
            ],
        },
        {"community_id": "1"},
    ),
    "cache_add_stamps": Example(STAMPS_AND_SCORE, body=ENTRIES),
    "cache_patch_stamps": Example(STAMPS_AND_SCORE, body=[*ENTRIES, {"provider": "Github"}]),
    "cache_delete_stamps": Example({"success": True, "stamps": []}, body=[{"provider": "Google"}]),
    "cache_get_score": Example({**SCORE, "points_data": POINTS, "possible_points_data": POINTS}, {"address": ADDRESS}),
    "cache_calc_score": Example(SCORE, {"address": ADDRESS}, {"alternate_scorer_id": 2}),
    "cache_get_stamps": Example(STAMPS, {"address": ADDRESS}),
    "cache_weights": Example(WEIGHTS),
    "check_bans": Example(
        [{"hash": "v0.0.0:Google:1", "is_banned": True, "ban_type": "account", "end_time": None, "reason": "Sybil"}],
        body=[
            {
                "credentialSubject": {
                    "hash": "v0.0.0:Google:1",
                    "provider": "Google",
                    "id": f"did:pkh:eip155:1:{ADDRESS}",
                }
            }
        ],
    ),
    "check_revocations": Example([{"proof_value": "0xabc", "is_revoked": False}], body={"proof_values": ["0xabc"]}),
    "allow_list": Example({"is_member": True}, {"list": "friends", "address": ADDRESS}),
    "credential_definition": Example(
        {"ruleset": {"name": "Contributor", "condition": {"AND": []}}},
        {"provider_id": "DeveloperList#Contributor#1234abcd"},
    ),
    "gtc_stake": Example(
        {
            "items": [
                {
                    "chain": 1,
                    "lock_time": "2026-01-01T00:00:00+00:00",
                    "unlock_time": "2026-12-31T00:00:00+00:00",
                    "staker": ADDRESS,
                    "stakee": ADDRESS,
                    "amount": "1000.500000000000000000",
                    "last_updated_in_block": 12345678,
                }
            ]
        },
        {"address": ADDRESS},
    ),
    "legacy_gtc_stake": Example(
        {
            "results": [
                {
                    "id": 1,
                    "event_type": "SelfStake",
                    "round_id": 1,
                    "staker": ADDRESS,
                    "address": None,
                    "amount": "125.000000000000000000",
                    "staked": True,
                    "block_number": 16000001,
                    "tx_hash": "0x" + "00" * 31 + "01",
                }
            ]
        },
        {"address": ADDRESS, "round_id": 1},
    ),
    "contributor_statistics": Example(
        {"num_grants_contribute_to": 4.0, "total_contribution_amount": 121.97}, {"address": ADDRESS}
    ),
}
PROBLEM = {"detail": "Invalid address."}


def add_to(document: dict[str, Any]) -> None:
    """Put the examples into an OpenAPI document, beside the schemas they stand for."""
    for methods in document["paths"].values():
        for described in methods.values():
            example = EXAMPLES[described["operationId"]]
            for parameter in described.get("parameters", ()):
                if parameter["name"] in example.parameters:
                    parameter["example"] = example.parameters[parameter["name"]]
            if example.body is not None:
                described["requestBody"]["content"]["application/json"]["example"] = example.body
            for status, response in described["responses"].items():
                if int(status) < 300:
                    response["content"]["application/json"]["example"] = example.answer
