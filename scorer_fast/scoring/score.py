"""``v2_score`` and ``internal_score``: an address's score, always decided anew."""

from __future__ import annotations

import orjson

from .. import addresses
from ..errors import Problem, Refused
from ..settings import conf
from .communities import CommunityKey
from .service import require_community, score_address

NO_SUCH_ID = -1  # no community has it


def v2_score(account_id: int, scorer_id: int, address: str) -> orjson.Fragment:
    """The score for a community of the key's account, by external id first; negative means the demo scorer."""
    if scorer_id < 0:
        scorer_id = NO_SUCH_ID if conf.demo_scorer_id is None else conf.demo_scorer_id
    return _scorer_first(address, CommunityKey(scorer_id, account_id), Problem.NO_SCORER)


def internal_score(scorer_id: int, address: str) -> orjson.Fragment:
    """The score for a community by id, whoever owns it."""
    return _scorer_first(address, CommunityKey(scorer_id, external=False), Problem.NO_COMMUNITY)


def _scorer_first(address: str, community: CommunityKey, missing: Problem) -> orjson.Fragment:
    """Score; a missing community is told before an invalid address, in the host's order."""
    try:
        lowered = addresses.lowered(address)
    except Refused:
        require_community(community, missing)
        raise
    return score_address(lowered, community, missing=missing).answer()
