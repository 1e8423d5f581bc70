"""``/internal``: what the other services of the host's owner ask."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from ninja import Router

from ..lookups import service as lookups
from ..scoring import operations
from . import schemas
from .responses import (
    answered,
    bans_body,
    contributions_body,
    definition_body,
    membership_body,
    revocations_body,
    score_body,
    stake_events_body,
    stakes_body,
)
from .routing import endpoint

router = Router()


@endpoint(router)
def internal_score(request: HttpRequest, scorer_id: int, address: str) -> HttpResponse:
    """The score of an address for any scorer, decided anew."""
    return answered(request, operations.internal_score(scorer_id, address), score_body)


@endpoint(router)
def check_bans(request: HttpRequest, payload: list[schemas.Credential]) -> HttpResponse:
    """Per credential the ban that holds; all must be issued to one address."""
    subjects = [lookups.Subject(s.hash, s.provider, s.id) for s in (item.credentialSubject for item in payload)]
    return answered(request, lookups.check_bans(subjects), bans_body)


@endpoint(router)
def check_revocations(request: HttpRequest, payload: schemas.ProofValues) -> HttpResponse:
    """Per proof value whether it is revoked, in the order of the request."""
    return answered(request, lookups.check_revocations(payload.proof_values), revocations_body)


@endpoint(router)
def allow_list(request: HttpRequest, list: str, address: str) -> HttpResponse:
    """Whether an address is on a list; an unknown list has no members."""
    return answered(request, lookups.allow_list(list, address), membership_body)


@endpoint(router)
def credential_definition(request: HttpRequest, provider_id: str) -> HttpResponse:
    """The ruleset of a custom credential; ``%23`` in the id means ``#``."""
    return answered(request, lookups.credential_definition(provider_id), definition_body)


@endpoint(router)
def gtc_stake(request: HttpRequest, address: str) -> HttpResponse:
    """Stakes by and on an address."""
    return answered(request, lookups.gtc_stake(address), stakes_body)


@endpoint(router)
def legacy_gtc_stake(request: HttpRequest, address: str, round_id: int) -> HttpResponse:
    """Legacy stake events of a round, by and on an address."""
    return answered(request, lookups.legacy_gtc_stake(address, round_id), stake_events_body)


@endpoint(router)
def contributor_statistics(request: HttpRequest, address: str) -> HttpResponse:
    """How many grants and projects an address gave to, and how much in all."""
    return answered(request, lookups.contributor_statistics(address), contributions_body)
