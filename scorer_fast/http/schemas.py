"""What goes in and what comes out, for parsing and for the OpenAPI document.

Answers are written by ``responses.py`` without a detour through these; a test validates every recorded
answer against them.
"""

from __future__ import annotations

from typing import Any, Literal

from ninja import Schema
from pydantic import BaseModel, model_validator


class StampScore(Schema):
    score: str
    dedup: bool
    expiration_date: str | None


class Points(Schema):
    total_points: int
    is_eligible: bool
    multiplier: int
    breakdown: dict[str, int]


class Score(Schema):
    address: str
    score: str | None
    passing_score: bool
    last_score_timestamp: str | None
    expiration_timestamp: str | None
    threshold: str
    error: str | None
    stamps: dict[str, StampScore] | None
    points_data: Points | None
    possible_points_data: Points | None
    linked_score: Any = None  # since 2026-07; null for an address that is linked to no other


class CachedStamp(Schema):
    id: int
    address: str
    provider: str
    stamp: Any


class Stamps(Schema):
    success: bool
    stamps: list[CachedStamp]


class StampsAndScore(Stamps):
    score: Score


class EmbedRateLimit(Schema):
    embed_rate_limit: str | None


Weights = dict[str, float]


class EmbedItem(Schema):
    platform_id: str
    order: int


class EmbedSection(Schema):
    title: str
    order: int
    items: list[EmbedItem]


class EmbedConfig(Schema):
    weights: Weights
    stamp_sections: list[EmbedSection]


class Ban(Schema):
    hash: str | None
    is_banned: bool
    ban_type: Literal["account", "hash", "single_stamp"] | None
    end_time: str | None
    reason: str | None


class Revocation(Schema):
    proof_value: str
    is_revoked: bool


Bans = list[Ban]
Revocations = list[Revocation]


class Membership(Schema):
    is_member: bool


class Ruleset(Schema):
    ruleset: Any


class Stake(Schema):
    chain: int
    lock_time: str
    unlock_time: str
    staker: str
    stakee: str
    amount: str
    last_updated_in_block: int


class Stakes(Schema):
    items: list[Stake]


class StakeEvent(Schema):
    id: int
    event_type: str
    round_id: int
    staker: str
    address: str | None
    amount: str
    staked: bool
    block_number: int
    tx_hash: str


class StakeEvents(Schema):
    results: list[StakeEvent]


class ContributorStatistics(Schema):
    num_grants_contribute_to: float
    total_contribution_amount: float


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
    provider: str
    stamp: Any = None


class StampToPatch(Form):
    provider: str
    stamp: Any = None


class StampToDelete(Form):
    provider: str


class EmbedStamps(Form):
    scorer_id: int
    stamps: list[Any]


class AlternateScorer(Form):
    alternate_scorer_id: int


class CredentialSubject(Form):
    hash: str | None
    provider: str | None
    id: str | None


class Credential(Form):
    credentialSubject: CredentialSubject


class ProofValues(Form):
    proof_values: list[str]
