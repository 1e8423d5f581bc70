"""What goes in and what comes out, as django-ninja checks it."""

from datetime import datetime
from typing import Any

from ninja import Schema


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
    stamps: dict[str, StampScore]
    points_data: Points | None = None
    possible_points_data: Points | None = None
    linked_score: Any = None


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


class EmbedStampsIn(Schema):
    scorer_id: int
    stamps: list[Any]


class EmbedRateLimit(Schema):
    embed_rate_limit: str | None


class EmbedItem(Schema):
    platform_id: str
    order: int


class EmbedSection(Schema):
    title: str
    order: int
    items: list[EmbedItem]


class EmbedConfig(Schema):
    weights: dict[str, float]
    stamp_sections: list[EmbedSection]


class CacheStampIn(Schema):
    provider: str
    stamp: Any = None


class CachePatchIn(Schema):
    provider: str
    stamp: Any = None


class CacheDeleteIn(Schema):
    provider: str


class CalcScoreIn(Schema):
    alternate_scorer_id: int | None = None


class CredentialSubject(Schema):
    hash: str | None
    provider: str | None
    id: str | None


class Credential(Schema):
    credentialSubject: CredentialSubject


class BanCheck(Schema):
    hash: str
    is_banned: bool = False
    ban_type: str | None = None
    end_time: datetime | None = None
    reason: str | None = None


class ProofValues(Schema):
    proof_values: list[str]


class RevocationCheck(Schema):
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
    last_updated_in_block: int
    staker: str
    stakee: str
    amount: str


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
