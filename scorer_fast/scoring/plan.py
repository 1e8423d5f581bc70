"""What scoring decided, as data: the answer, and the writes that make it so. Pure: rows and ``now`` in, a Plan out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from ..domain import credentials, dedup, points, score
from ..domain.dedup import Link
from ..domain.weights import weights_of
from .read import ScoringRow


class PostedStamp(NamedTuple):
    """A stamp that a request brings: what its row says beside provider and credential, and the stamp as it is read."""

    proof_value: str
    issuance_date: datetime | None
    expiration_date: datetime | None
    stamp: credentials.Stamp


class Change(NamedTuple):
    """What a request does to the address's stamps before it is scored: soft-deletes and inserts."""

    replaced: Sequence[str] = ()
    posted: Sequence[PostedStamp] = ()
    source_app: int | None = None
    source_scorer_id: int | None = None

    def __bool__(self) -> bool:
        return bool(self.replaced or self.posted)


NO_CHANGE = Change()


class Rules(NamedTuple):
    """The settings a decision depends on, as they were when the request came."""

    trusted_issuers: frozenset[str]
    multi_nullifier: bool
    points_start: datetime
    metamask_enabled: bool
    awards_points: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """A decided scoring. Nothing in it is written yet, and everything it needs to be written is in it.

    ``new_copy_keys``: stamps to copy into registry_stamp, in row order; ``gone_copy_ids``: rows of it that go.
    ``points``: what is known of them once the plan is written; None outside the program.
    """

    row: ScoringRow
    address: str
    now: datetime
    change: Change
    score: score.Score
    dedup: dedup.Deduplicated
    new_copy_keys: tuple[int, ...]
    gone_copy_ids: tuple[int, ...]
    awards: points.Awards
    points: points.PointsRead | None

    @property
    def leaves_stamps_and_links(self) -> bool:
        """Whether stamps, links and copies are already as they should be."""
        return not (
            self.change or self.dedup.new_links or self.dedup.changed_links or self.new_copy_keys or self.gone_copy_ids
        )

    @property
    def touches_only_the_score(self) -> bool:
        """Whether nothing but the score and its events is written: the steady state of an address."""
        return self.row.score_id is not None and self.leaves_stamps_and_links and not self.awards

    def answer(self) -> dict[str, Any]:
        """The Score body, points aside."""
        return score.fresh_answer(self.address, self.score, self.now)

    def score_event(self) -> dict[str, Any]:
        """What the SCU event says; ids that do not exist yet are None."""
        fields = score.event_fields(self.score, self.now) | {"passport": self.row.passport_id}
        return {"model": "registry.score", "pk": self.row.score_id, "fields": fields}

    def dedup_events(self) -> list[dict[str, Any]]:
        """What the LDP events say, one for each stamp that does not count."""
        return [
            {
                "nullifiers": list(clash.nullifiers),
                "provider": clash.stamp.subject_provider,
                "community_id": self.row.community_id,
            }
            for clash in self.dedup.clashes
        ]

    def links_after(self) -> Iterable[Link]:
        """Of all links that were read or are written, how they are afterwards."""
        links = dict(self.row.links)
        links |= {link.hash: Link(*link) for link in self.dedup.new_links}
        links |= {link.hash: Link(link.hash, self.address, link.expires_at) for link in self.dedup.changed_links}
        return links.values()


def decide(
    row: ScoringRow,
    signed: Sequence[credentials.Valid],
    *,
    address: str,
    now: datetime,
    rules: Rules,
    change: Change = NO_CHANGE,
) -> Plan:
    """Score an address on the rows read and the stamps found valid, whose signatures are good."""
    found = dedup.deduplicate(signed, row.links, address=address, now=now, multi=rules.multi_nullifier)
    weights = weights_of(row.weights, row.overrides)
    scored = score.score_stamps(found.counting, found.clashes, weights, row.threshold)
    wanted = {stamp.key for stamp in found.counting}
    kept: set[int] = set()
    gone: list[int] = []
    for copy in row.copies:
        if copy.same_as is not None and copy.same_as in wanted and copy.same_as not in kept:
            kept.add(copy.same_as)
        else:
            gone.append(copy.id)
    awards, known = points.NO_AWARDS, row.points
    if known is not None:
        if rules.awards_points and scored.passing and now >= rules.points_start:
            awards = points.award(
                found.counting, known, community_id=row.community_id, metamask_enabled=rules.metamask_enabled
            )
        known = points.after(known, awards, row.community_id)
    return Plan(
        row=row,
        address=address,
        now=now,
        change=change,
        score=scored,
        dedup=found,
        new_copy_keys=tuple(stamp.key for stamp in found.counting if stamp.key not in kept),
        gone_copy_ids=tuple(gone),
        awards=awards,
        points=known,
    )
