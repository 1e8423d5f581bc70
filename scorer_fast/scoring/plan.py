"""What scoring decided, as data: the answer, and the writes that make it so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from .. import __version__
from ..domain import credentials, dedup, points, score
from ..domain.weights import Weights, weights_of
from ..errors import Changed
from .read import ScoringRow
from .stamps import NewStamp


class Change(NamedTuple):
    """What a request does to the address's stamps before it is scored: soft-deletes and inserts."""

    deleted_providers: Sequence[str] = ()
    stamps: Sequence[NewStamp] = ()
    source_app: int | None = None
    source_scorer_id: int | None = None

    def __bool__(self) -> bool:
        return bool(self.deleted_providers or self.stamps)

    def rows(self) -> str:
        """The stamps to store, as JSON."""
        return orjson.dumps(
            [stamp._asdict() | {"stamp": orjson.Fragment(stamp.stamp)} for stamp in self.stamps]
        ).decode()


NO_CHANGE = Change()


class Rules(NamedTuple):
    """The settings a decision depends on, as they were when the request came."""

    trusted_issuers: frozenset[str]
    multi_nullifier: bool
    points_start: datetime
    metamask_enabled: bool

    def of_settling(self) -> str:
        """Those of them that a settled reading depends on, as text."""
        return _of_settling(self.trusted_issuers, self.multi_nullifier)


@lru_cache(maxsize=16)
def _of_settling(trusted_issuers: frozenset[str], multi_nullifier: bool) -> str:
    # With the version: what another release made of the same rows is not taken over.
    return orjson.dumps([__version__, multi_nullifier, sorted(trusted_issuers)]).decode()


@dataclass(frozen=True, slots=True)
class Plan:
    """A decided scoring. Nothing in it is written yet, and everything it needs to be written is in it."""

    row: ScoringRow
    address: str
    now: datetime
    change: Change
    score: score.Score
    dedup: dedup.Deduplicated
    new_stamp_keys: tuple[int, ...]
    gone_stamp_ids: tuple[int, ...]
    awards: points.Awards
    points: points.PointsRead | None

    @property
    def leaves_stamps_and_links(self) -> bool:
        """Whether stamps, links and copies are already as they should be."""
        return not (
            self.change
            or self.dedup.new_links
            or self.dedup.changed_links
            or self.new_stamp_keys
            or self.gone_stamp_ids
        )

    @property
    def touches_only_the_score(self) -> bool:
        """Whether one statement writes it all: the steady state of an address whose stamps did not change."""
        return self.row.score_id is not None and self.leaves_stamps_and_links and not self.awards

    def answer(self) -> dict[str, Any]:
        """The Score body, points aside."""
        return score.fresh_answer(self.address, self.score, self.now)

    def score_event(self) -> dict[str, Any]:
        """What the SCU event says; ids that do not exist yet are None."""
        fields = score.event_fields(self.score, self.now) | {"passport": self.row.passport_id}
        return {"model": "registry.score", "pk": self.row.score_id, "fields": fields}

    def dedup_events(self) -> list[dict[str, Any]]:
        return [
            {
                "nullifiers": list(clash.nullifiers),
                "provider": clash.stamp.subject_provider,
                "community_id": self.row.community_id,
            }
            for clash in self.dedup.clashes
        ]


def decide(
    row: ScoringRow,
    signed: Sequence[credentials.Valid],
    *,
    address: str,
    now: datetime,
    rules: Rules,
    change: Change = NO_CHANGE,
    weights: Weights | None = None,
) -> Plan:
    """Score an address on the rows read and the stamps found valid; pure.

    What is settled is not worked out again, only what stamps beyond it come to; Changed where it does not hold any
    longer and the stamps themselves were not read.
    ``weights``: those of the row where they were read already, for many addresses.
    """
    settled = row.settled
    if settled is not None and not settled.holds_at(now):
        if not row.is_in_full:
            raise Changed
        settled = None
    found = dedup.deduplicate(signed, row.links, address=address, now=now, multi=rules.multi_nullifier)
    if weights is None:
        weights = weights_of(row.weights, row.overrides)
    beyond = found.counting if settled is None or not row.is_in_full else [s for s in found.counting if s.key < 0]
    counting: Sequence[tuple[str, str]] = score.shown(beyond)
    earning: Sequence[points.Earning] = beyond
    expires_at = score.earliest_expiry(beyond)
    if settled is not None:
        counting = [*settled.counting, *counting]
        earning = [*(settled.marks or ()), *earning]
        expires_at = min((at for at in (settled.expires_at, expires_at) if at is not None), default=None)
    scored = score.score_stamps(counting, expires_at, found.clashes, weights, Decimal(row.threshold))
    wanted = {stamp.key for stamp in found.counting}
    kept: set[int] = set()
    gone: list[int] = []
    for stored in row.stored_stamps:
        if stored.same_as in wanted and stored.same_as not in kept:
            kept.add(stored.same_as)
        else:
            gone.append(stored.id)
    awards, known = points.NO_AWARDS, row.points
    if known is not None:
        if scored.passing and now >= rules.points_start:
            awards = points.award(
                earning, known, community_id=row.community_id, metamask_enabled=rules.metamask_enabled
            )
        known = points.after(known, awards, row.community_id)
    return Plan(
        row=row,
        address=address,
        now=now,
        change=change,
        score=scored,
        dedup=found,
        new_stamp_keys=tuple(sorted(wanted - kept, key=credentials.row_order)),
        gone_stamp_ids=tuple(gone),
        awards=awards,
        points=known,
    )
