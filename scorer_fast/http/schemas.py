"""What goes in and what comes out, for parsing and for the OpenAPI document.

Answers are written by ``responses.py`` without a detour through these; a test validates every recorded
answer against them.
"""

from __future__ import annotations

from typing import Any, Literal

from ninja import Schema
from pydantic import BaseModel


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


class Ban(Schema):
    hash: str | None
    is_banned: bool
    ban_type: Literal["account", "hash", "single_stamp"] | None
    end_time: str | None
    reason: str | None


class Revocation(Schema):
    proof_value: str
    is_revoked: bool


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


class StampToAdd(BaseModel):
    provider: str
    stamp: Any
    address: str | None = None


class StampToPatch(BaseModel):
    provider: str
    stamp: Any = None
    address: str | None = None


class StampToDelete(BaseModel):
    provider: str
    address: str | None = None


class EmbedStamps(BaseModel):
    scorer_id: int
    stamps: list[Any]


class AlternateScorer(BaseModel):
    alternate_scorer_id: int


class CredentialSubject(BaseModel):
    hash: str | None
    provider: str | None
    id: str | None


class Credential(BaseModel):
    credentialSubject: CredentialSubject


class ProofValues(BaseModel):
    proof_values: list[str]
