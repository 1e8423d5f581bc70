"""What goes in and what comes out, for parsing and for the OpenAPI document.

Answers are written by ``responses.py`` without a detour through these; a test validates every recorded
answer against them. The document's examples are made of those of the fields (``examples.py``): what the demo data of
this repository answers (`make run`), with credentials shortened.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import BaseModel, Field, model_validator

ADDRESS = "0x1000000000000000000000000000000000000001"
DID = f"did:pkh:eip155:1:{ADDRESS}"
EXPIRES = "2027-02-26T08:00:00+00:00"
CREDENTIAL = {
    "type": ["VerifiableCredential"],
    "issuer": "did:ethr:0xc686685b70777e5e1c5f878c2b26b806ddb5f9f1",
    "issuanceDate": "2026-11-28T08:00:00.000Z",
    "expirationDate": "2027-02-26T08:00:00.000Z",
    "credentialSubject": {"id": DID, "provider": "Google", "nullifiers": ["v1:Google:nullifier"]},
    "proof": {"type": "EthereumEip712Signature2021", "proofValue": "0x…"},
}


def such_as(example: Any, **more: Any) -> Any:
    """A field with its example."""
    return Field(examples=[example], **more)


class StampScore(Schema):
    score: str = such_as("1.50000")
    dedup: bool = such_as(False)
    expiration_date: str | None = such_as(EXPIRES)


class Points(Schema):
    total_points: int = such_as(270)
    is_eligible: bool = such_as(True)
    multiplier: int = such_as(1)
    breakdown: dict[str, int] = such_as({"HBI": 120, "HCH": 75, "HKY": 75})


class Score(Schema):
    address: str = such_as(ADDRESS)
    score: str | None = such_as("8.62300")
    passing_score: bool = such_as(False)
    last_score_timestamp: str | None = such_as("2026-11-28T08:00:00.123456+00:00")
    expiration_timestamp: str | None = such_as(EXPIRES)
    threshold: str = such_as("20.00000")
    error: str | None = such_as(None)
    stamps: dict[str, StampScore] | None = such_as(
        {
            "Google": {"score": "1.50000", "dedup": False, "expiration_date": EXPIRES},
            "Github": {"score": "7.12300", "dedup": False, "expiration_date": EXPIRES},
        }
    )
    points_data: Points | None = such_as(None)
    possible_points_data: Points | None = such_as(None)
    linked_score: Any = such_as(None, default=None)  # since 2026-07; null for an address that is linked to no other


class CachedStamp(Schema):
    id: int = such_as(1)
    address: str = such_as(ADDRESS)
    provider: str = such_as("Google")
    stamp: Any = such_as(CREDENTIAL)


class Stamps(Schema):
    success: bool = such_as(True)
    stamps: list[CachedStamp]


class StampsAndScore(Stamps):
    score: Score


class EmbedRateLimit(Schema):
    embed_rate_limit: str | None = such_as("2000/15m")


Weights = Annotated[dict[str, float], such_as({"Google": 1.5, "Github": 7.123, "Biometrics": 16.021})]


class EmbedItem(Schema):
    platform_id: str = such_as("CleanHands")
    order: int = such_as(1)


class EmbedSection(Schema):
    title: str = such_as("Physical Verification")
    order: int = such_as(1)
    items: list[EmbedItem]


class EmbedConfig(Schema):
    weights: Weights
    stamp_sections: list[EmbedSection]


class Ban(Schema):
    hash: str | None = such_as("v0.0.0:Google:1")
    is_banned: bool = such_as(True)
    ban_type: Literal["account", "hash", "single_stamp"] | None = such_as("account")
    end_time: str | None = such_as(None)
    reason: str | None = such_as("Sybil")


class Revocation(Schema):
    proof_value: str = such_as("0xabc")
    is_revoked: bool = such_as(False)


Bans = list[Ban]
Revocations = list[Revocation]


class Membership(Schema):
    is_member: bool = such_as(True)


class Ruleset(Schema):
    ruleset: Any = such_as({"name": "Contributor", "condition": {"AND": []}})


class Stake(Schema):
    chain: int = such_as(1)
    lock_time: str = such_as("2026-01-01T00:00:00+00:00")
    unlock_time: str = such_as("2026-12-31T00:00:00+00:00")
    staker: str = such_as(ADDRESS)
    stakee: str = such_as(ADDRESS)
    amount: str = such_as("1000.500000000000000000")
    last_updated_in_block: int = such_as(12345678)


class Stakes(Schema):
    items: list[Stake]


class StakeEvent(Schema):
    id: int = such_as(1)
    event_type: str = such_as("SelfStake")
    round_id: int = such_as(1)
    staker: str = such_as(ADDRESS)
    address: str | None = such_as(None)
    amount: str = such_as("125.000000000000000000")
    staked: bool = such_as(True)
    block_number: int = such_as(16000001)
    tx_hash: str = such_as("0x" + "00" * 31 + "01")


class StakeEvents(Schema):
    results: list[StakeEvent]


class ContributorStatistics(Schema):
    num_grants_contribute_to: float = such_as(4.0)
    total_contribution_amount: float = such_as(121.97)


class Detail(Schema):
    """Any error but a malformed request."""

    detail: str


class Invalid(Schema):
    """A malformed request: where and why; or, from the operation's own checks, one sentence."""

    detail: list[dict[str, Any]] | str


# ---- bodies: without Ninja's Schema, which wraps every object of a payload to read it from a model


class Form(BaseModel):
    """An object of a body; what is none has no members, as in the host. Members that no form names are free."""

    @model_validator(mode="before")
    @classmethod
    def _members(cls, value: Any) -> Any:
        return value if isinstance(value, dict) else {}


class StampToAdd(Form):
    provider: str = such_as("Google")
    stamp: Any = such_as(CREDENTIAL, default=None)


class StampToPatch(StampToAdd):
    pass


class StampToDelete(Form):
    provider: str = such_as("Google")


class EmbedStamps(Form):
    scorer_id: int = such_as(1)
    stamps: list[Any] = such_as([CREDENTIAL])


class AlternateScorer(Form):
    alternate_scorer_id: int = such_as(2)


class CredentialSubject(Form):
    hash: str | None = such_as("v0.0.0:Google:1")
    provider: str | None = such_as("Google")
    id: str | None = such_as(DID)


class Credential(Form):
    credentialSubject: CredentialSubject


class ProofValues(Form):
    proof_values: list[str] = such_as(["0xabc"])
