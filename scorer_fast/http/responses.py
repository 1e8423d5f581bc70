"""JSON answers without a detour: orjson writes them, stored JSON text goes in as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse

from ..domain.bans import Ban
from ..domain.score import milliseconds_z
from ..lookups import service as lookups
from ..lookups.queries import StakeEventRow, StakeRow
from ..lookups.service import LookUp
from ..lookups.weights import Config, Known
from ..run import run_of
from ..scoring import service as scoring


def json_response(body: Any, status: int = 200) -> HttpResponse:
    """``body`` as JSON; ``orjson.Fragment`` in it is taken over as it is."""
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/json; charset=utf-8")


Question = LookUp | scoring.Question


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the response to what it comes to."""

    question: Question
    respond: Callable[[Any], HttpResponse]

    @property
    def service(self) -> Any:
        """The module that reads and decides such questions."""
        return lookups if isinstance(self.question, LookUp) else scoring


def ask(request: HttpRequest, question: Question, respond: Callable[[Any], HttpResponse]) -> HttpResponse:
    """The response to what ``question`` comes to. Shadow's question is held, not answered."""
    asked, run = Asked(question, respond), run_of(request)
    if not run.is_live:
        run.held = asked
        return HttpResponse()
    return respond(asked.service.answer(run, question))


def answered(request: HttpRequest, question: Question, body: Callable[[Any], Any], status: int = 200) -> HttpResponse:
    """The answer to ``question``; ``body`` makes JSON of what it comes to."""
    return ask(request, question, lambda outcome: json_response(body(outcome), status))


def weights_body(weights: Known) -> dict[str, float]:
    """Weight by provider, as numbers."""
    return weights.floats


def score_body(outcome: scoring.Found | scoring.Decided) -> Any:
    """The Score shape."""
    return outcome.answer()


def stamps_body(outcome: scoring.Found | scoring.Decided) -> dict[str, Any]:
    """The Stamps shape."""
    return {"success": True, "stamps": orjson.Fragment(outcome.stamps())}


def stamps_and_score_body(outcome: scoring.Decided) -> dict[str, Any]:
    """The Stamps shape with the score beside it."""
    return stamps_body(outcome) | {"score": outcome.answer()}


def bans_body(found: Iterable[tuple[str | None, Ban | None]]) -> list[dict[str, Any]]:
    """Per credential whether it is banned."""
    return [ban_body(hash_, ban) for hash_, ban in found]


def revocations_body(found: Iterable[tuple[str, bool]]) -> list[dict[str, Any]]:
    """Per proof value whether it is revoked."""
    return [{"proof_value": value, "is_revoked": revoked} for value, revoked in found]


def membership_body(is_member: bool) -> dict[str, Any]:
    """Whether an address is on a list."""
    return {"is_member": is_member}


def contributions_body(given: tuple[float, float]) -> dict[str, Any]:
    """How many, and how much."""
    return {"num_grants_contribute_to": given[0], "total_contribution_amount": given[1]}


def embed_config_body(config: Config) -> dict[str, Any]:
    """What the embedded widget shows; the sections are JSON as PostgreSQL wrote it."""
    return {"weights": config.weights.floats, "stamp_sections": orjson.Fragment(config.sections)}


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
