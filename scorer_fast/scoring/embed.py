"""``embed_score``, ``embed_add_stamps`` and ``embed_validate_api_key``: what the embedded widget asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import addresses
from ..errors import Problem, Refused
from ..settings import conf
from . import payloads
from .communities import CommunityKey
from .plan import Change
from .score import NO_SUCH_ID
from .service import Scored, require_community, score_address

SOURCE_APP = 2  # ceramic_cache_ceramiccache.source_app of the widget


def embed_score(scorer_id: int, address: str) -> Scored:
    """Score for the community of that id, whoever owns it; negative means the demo scorer."""
    if scorer_id < 0:
        scorer_id = NO_SUCH_ID if conf.demo_scorer_id is None else conf.demo_scorer_id
    community = CommunityKey(scorer_id)
    try:
        lowered = addresses.lowered(address)
    except Refused:
        require_community(community, Problem.INVALID_SCORER_ID)
        raise
    return score_address(lowered, community, missing=Problem.INVALID_SCORER_ID, with_stamps=True)


def embed_add_stamps(address: str, scorer_id: int, stamps: Sequence[Any]) -> Scored:
    """Store the stamps, each under the provider its subject names, and score."""
    address = addresses.lowered(address)
    payloads.check_size(stamps)
    new = payloads.new_stamps([payloads.subject_entry(stamp) for stamp in stamps])
    providers = [stamp.provider for stamp in new]
    return score_address(
        address,
        CommunityKey(scorer_id),
        missing=Problem.INVALID_SCORER_ID,
        with_stamps=True,
        change=Change(providers, new, SOURCE_APP, scorer_id),
        posted=payloads.posted(new, providers),
    )
