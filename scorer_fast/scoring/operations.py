"""What each operation that scores asks; one function each, named after it. They read nothing: they say what is to be
read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from .. import revision
from ..db.communities import CommunityKey
from ..domain import points
from ..domain.score import stored_answer
from ..errors import Problem, Refused
from ..inputs import check_size, lowered, require_own, storable
from ..run import Run
from ..settings import conf
from ..telemetry import note
from . import payloads
from .payloads import Entry
from .plan import Change
from .read import get_stored_score, has_score, has_stamp_of, list_stamps, read_points
from .service import Found, Question

NO_SUCH_ID = -1  # no community has it
PASSPORT_APP, WIDGET = 1, 2  # ceramic_cache_ceramiccache.source_app


def _demo_or(scorer_id: int) -> int:
    """A negative id means the demo scorer."""
    if scorer_id >= 0:
        return scorer_id
    return NO_SUCH_ID if conf.demo_scorer_id is None else conf.demo_scorer_id


def _configured() -> int:
    return NO_SUCH_ID if conf.cache_scorer_id is None else conf.cache_scorer_id


def _lowered_or_none(address: str) -> str | None:
    """None for what is no address: a missing community is told before it, in the host's order."""
    try:
        return lowered(address)
    except Refused:
        return None


# ---- scores


def v2_score(account_id: int, scorer_id: int, address: str) -> Question:
    """The score for a community of the key's account, by external id first; negative means the demo scorer."""
    community = CommunityKey(_demo_or(scorer_id), account_id)
    return Question(_lowered_or_none(address), community, Problem.NO_SCORER)


def internal_score(scorer_id: int, address: str) -> Question:
    """The score for a community by id, whoever owns it."""
    return Question(_lowered_or_none(address), CommunityKey(scorer_id, external=False), Problem.NO_COMMUNITY)


# ---- the embedded widget


def embed_score(scorer_id: int, address: str) -> Question:
    """Stamps and score for the community of that id, whoever owns it; negative means the demo scorer."""
    community = CommunityKey(_demo_or(scorer_id))
    return Question(_lowered_or_none(address), community, Problem.INVALID_SCORER_ID, with_stamps=True)


def embed_add_stamps(address: str, scorer_id: int, stamps: Sequence[Any]) -> Question:
    """Store the stamps, each under the provider its subject names, and score."""
    address = lowered(address)
    check_size(stamps)
    posted = payloads.posted_stamps([payloads.subject_entry(stamp) for stamp in stamps])
    return Question(
        address,
        CommunityKey(scorer_id),
        Problem.INVALID_SCORER_ID,
        change=Change([each.stamp.provider for each in posted], posted, WIDGET, scorer_id),
        with_stamps=True,
    )


# ---- the ceramic cache: what a signed-in address does with its own stamps and score


def cache_add_stamps(address: str, entries: Sequence[Entry], *, names_scorer: bool = True) -> Question:
    """Replace the address's stamps of the entries' providers, and score.

    ``names_scorer``: whether the new rows name the scorer that they came for; those of the host's Lambda do not.
    """
    check_size(entries)
    posted = payloads.posted_stamps(entries)
    scorer_id = _configured()
    return Question(
        address,
        CommunityKey(scorer_id),
        Problem.MISCONFIGURED_SCORER,
        change=Change(
            [each.stamp.provider for each in posted], posted, PASSPORT_APP, scorer_id if names_scorer else None
        ),
        with_stamps=True,
        with_points=True,
    )


def cache_patch_stamps(address: str, entries: Sequence[Entry]) -> Question:
    """Remove the address's stamps of every named provider, store those that bring a stamp, and score."""
    check_size(entries)
    posted = payloads.posted_stamps([entry for entry in entries if entry.stamp])
    providers = list(dict.fromkeys(storable(entry.provider) for entry in entries))
    return Question(
        address,
        CommunityKey(_configured()),
        Problem.MISCONFIGURED_SCORER,
        change=Change(providers, posted),
        with_stamps=True,
        with_points=True,
    )


def cache_delete_stamps(address: str, providers: Sequence[str]) -> Question:
    """Remove the address's stamps of the named providers, and score; Refused when there was none."""
    check_size(providers)
    named = sorted(set(map(storable, providers)))

    def some_are_there(run: Run) -> None:
        if not has_stamp_of(run.database, address, named):
            raise Refused(Problem.NO_STAMP_TO_DELETE)

    return Question(
        address,
        CommunityKey(_configured()),
        Problem.MISCONFIGURED_SCORER,
        change=Change(named),
        missing_first=some_are_there,
        must_replace=True,
        with_stamps=True,
    )


def cache_get_score(token_address: str, address: str, alternate_scorer_id: int | None) -> Question:
    """The stored score while it has not expired, else a new one; with points."""
    address = lowered(address)
    require_own(address, token_address)
    scorer_id = _configured() if alternate_scorer_id is None else alternate_scorer_id

    def stored(run: Run) -> Found | None:
        facts = revision.current()
        row = get_stored_score(run.database, scorer_id, address, points=facts.shows_points)
        if row is None:
            raise Refused(Problem.MISCONFIGURED_SCORER)
        found = row.stored()
        if found is None or found.has_expired(run.now()):
            return None
        note(address=address, scorer_id=scorer_id, outcome="stored")
        shown = found if found.stamps is None else found._replace(stamps=orjson.Fragment(found.stamps))
        return Found({**stored_answer(address, shown), **points.both(read_points(row.points)), **facts.score_extra})

    return Question(address, CommunityKey(scorer_id), Problem.MISCONFIGURED_SCORER, instead=stored, with_points=True)


def cache_calc_score(token_address: str, address: str, scorer_id: int) -> Question:
    """A new score for another scorer; with points."""
    own: str | None = None
    refused = Problem.INVALID_ADDRESS
    try:
        own = lowered(address)
        require_own(own, token_address)
    except Refused as error:
        own, refused = None, error.problem
    return Question(own, CommunityKey(scorer_id), Problem.NOT_FOUND, refused=refused, with_points=True)


def cache_get_stamps(address: str) -> Question:
    """The address's stamps; an address that was never scored is scored on the way."""
    address = lowered(address)
    scorer_id = _configured()

    def listed(run: Run) -> Found | None:
        if not has_score(run.database, scorer_id, address):
            return None
        note(scorer_id=scorer_id)
        return Found(list_stamps(run.database, address))

    return Question(address, CommunityKey(scorer_id), Problem.MISCONFIGURED_SCORER, instead=listed, with_stamps=True)
