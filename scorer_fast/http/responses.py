"""JSON answers without a detour: orjson writes them, stored JSON text goes in as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from django.http import HttpResponse

from ..domain.bans import Ban
from ..domain.score import milliseconds_z
from ..lookups.queries import StakeEventRow, StakeRow
from ..scoring.service import Scored


def json_response(body: Any, status: int = 200) -> HttpResponse:
    """``body`` as JSON; ``orjson.Fragment`` in it is taken over as it is."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json; charset=utf-8")


def stamps_body(stamps: str) -> dict[str, Any]:
    """The Stamps shape; ``stamps`` is JSON as PostgreSQL wrote it."""
    return {"success": True, "stamps": orjson.Fragment(stamps)}


def stamps_and_score_body(scored: Scored) -> dict[str, Any]:
    """The Stamps shape with the score beside it."""
    return stamps_body(scored.stamps()) | {"score": scored.answer()}


def ban_body(hash_: str | None, ban: Ban | None) -> dict[str, Any]:
    """One credential's ban, or that there is none."""
    return {
        "hash": hash_,
        "is_banned": ban is not None,
        "ban_type": ban and ban.type,
        "end_time": ban and milliseconds_z(ban.end_time),
        "reason": ban and ban.reason,
    }


def definition_body(ruleset: str) -> dict[str, Any]:
    """A ruleset's stored text as it is."""
    return {"ruleset": orjson.Fragment(ruleset)}


def stakes_body(stakes: Iterable[StakeRow]) -> dict[str, Any]:
    """Stakes; a block number goes in as its digits, for it may be as large as 2^256 - 1."""
    return {
        "items": [
            {
                "chain": stake.chain,
                "lock_time": stake.lock_time.isoformat(),
                "unlock_time": stake.unlock_time.isoformat(),
                "staker": stake.staker,
                "stakee": stake.stakee,
                "amount": stake.amount,
                "last_updated_in_block": orjson.Fragment(stake.last_updated_in_block),
            }
            for stake in stakes
        ]
    }


def stake_events_body(events: Iterable[StakeEventRow]) -> dict[str, Any]:
    """Stake events, all columns; an amount as Python writes the Decimal (``0E-18`` for zero)."""
    return {"results": [event._asdict() | {"amount": str(event.amount)} for event in events]}
