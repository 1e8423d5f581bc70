"""The ceramic-cache operations: what a signed-in address does with its own stamps and score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from .. import addresses
from ..domain import points
from ..domain.score import StoredScore, stored_answer
from ..errors import Problem, Refused
from ..settings import conf
from ..telemetry import note, step
from . import context, payloads
from .communities import CommunityKey
from .payloads import Entry
from .plan import Change
from .read import ScoringRow
from .score import NO_SUCH_ID
from .scores import get_stored_score, has_score
from .service import Scored, require_community, score_address
from .stamps import list_cache_stamps, list_live_providers

SOURCE_APP = 1  # ceramic_cache_ceramiccache.source_app of the Passport app
MISSING = Problem.MISCONFIGURED_SCORER


def _configured_scorer() -> int:
    return NO_SUCH_ID if conf.cache_scorer_id is None else conf.cache_scorer_id


def cache_add_stamps(address: str, entries: Sequence[Entry], *, names_scorer: bool = True) -> Scored:
    """Replace the address's stamps of the entries' providers, and score.

    ``names_scorer``: whether the new rows name the scorer that they came for; those of the host's Lambda do not.
    """
    payloads.check_size(entries)
    new = payloads.new_stamps(entries)
    providers = [stamp.provider for stamp in new]
    scorer_id = _configured_scorer()
    return score_address(
        address,
        CommunityKey(scorer_id),
        missing=MISSING,
        with_stamps=True,
        with_points=True,
        change=Change(providers, new, SOURCE_APP, scorer_id if names_scorer else None),
        posted=payloads.posted(new, providers),
    )


def cache_patch_stamps(address: str, entries: Sequence[Entry]) -> Scored:
    """Remove the address's stamps of every named provider, store those that bring a stamp, and score."""
    payloads.check_size(entries)
    new = payloads.new_stamps([entry for entry in entries if entry.stamp is not None])
    providers = list(dict.fromkeys(entry.provider for entry in entries))
    return score_address(
        address,
        CommunityKey(_configured_scorer()),
        missing=MISSING,
        with_stamps=True,
        with_points=True,
        change=Change(providers, new),
        posted=payloads.posted(new, providers),
    )


def cache_delete_stamps(address: str, providers: Sequence[str]) -> Scored:
    """Remove the address's stamps of the named providers, and score; Refused when there was none."""
    payloads.check_size(providers)
    named = sorted(set(providers))

    def some_are_there(row: ScoringRow) -> None:
        if not row.is_replacing:
            raise Refused(Problem.NO_STAMP_TO_DELETE)

    try:
        return score_address(
            address,
            CommunityKey(_configured_scorer()),
            missing=MISSING,
            with_stamps=True,
            change=Change(named),
            posted=payloads.posted([], named),
            require=some_are_there,
        )
    except Refused as refused:
        # Nothing to delete is told before a missing scorer, for which nothing was read of the address.
        if refused.problem is MISSING and not context.read(
            lambda: list_live_providers(conf.database, address)
        ).intersection(named):
            raise Refused(Problem.NO_STAMP_TO_DELETE) from None
        raise


def cache_get_score(
    token_address: str, address: str, alternate_scorer_id: int | None
) -> dict[str, Any] | orjson.Fragment:
    """The stored score while it has not expired, else a new one; with points."""
    address = addresses.lowered(address)
    addresses.require_own(address, token_address)
    scorer_id = _configured_scorer() if alternate_scorer_id is None else alternate_scorer_id
    found = _stored(scorer_id, address)
    if found is None:
        raise Refused(MISSING)
    stored, known_points = found
    if stored is None or stored.has_expired(context.now()):
        return score_address(address, CommunityKey(scorer_id), missing=MISSING, with_points=True).answer()
    note(address=address, scorer_id=scorer_id, outcome="stored")
    return stored_answer(address, stored) | points.both(known_points)


def _stored(scorer_id: int, address: str) -> tuple[StoredScore | None, points.PointsRead | None] | None:
    with step("read"):
        return context.read(
            lambda: get_stored_score(conf.database, scorer_id, address, points=conf.human_points_enabled)
        )


def cache_calc_score(token_address: str, address: str, scorer_id: int) -> orjson.Fragment:
    """A new score for another scorer; with points."""
    community = CommunityKey(scorer_id)
    try:
        lowered = addresses.lowered(address)
        addresses.require_own(lowered, token_address)
    except Refused:
        require_community(community, Problem.NOT_FOUND)
        raise
    return score_address(lowered, community, missing=Problem.NOT_FOUND, with_points=True).answer()


def cache_get_stamps(address: str) -> str:
    """The address's stamps as JSON; an address that was never scored is scored on the way."""
    address = addresses.lowered(address)
    scorer_id = _configured_scorer()
    with step("read"):
        scored = context.read(lambda: has_score(conf.database, scorer_id, address))
    if not scored:
        return score_address(address, CommunityKey(scorer_id), missing=MISSING, with_stamps=True).stamps()
    note(scorer_id=scorer_id)
    with step("read"):
        return context.read(lambda: list_cache_stamps(conf.database, address))
