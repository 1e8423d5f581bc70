"""What scoring reads of the database: one statement, and the few that other answers of the same operations need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ..db.communities import BIGINT, CommunityKey
from ..db.connection import fetch_all, fetch_one, fetch_value, text_array
from ..db.json import loads
from ..domain.credentials import Stamp
from ..domain.dedup import Link
from ..domain.points import METAMASK_LIMIT, PointsRead, PointsRow
from ..domain.score import StoredScore
from .verifier import VERIFIER

FORMAT = 1  # of what is kept (db/functions/reading_1.sql); another one is not taken for it
READER = f"{FORMAT} {VERIFIER}"


class Copy(NamedTuple):
    """A registry_stamp row, and the key of the live stamp that it equals, or None."""

    id: int
    same_as: int | None


class ReadToken(NamedTuple):
    """What the write checks: the versions of the live stamps, and when the score was last written, as PostgreSQL said
    it.

    Nobody looks into it on its way back.
    """

    live: str
    last_score_timestamp: str | None


class ScoringRow(NamedTuple):
    """All that is known of an address in a community before it is scored.

    Ids are None where the row does not exist yet; ``points`` is None outside the points program. ``stamps``: the
    live ones that the request does not take away, by id, then the posted ones. ``is_replacing``: whether the
    address has stamps of the providers that the request takes away. ``listed``: the same stored stamps as the
    answers list them, JSON text; None where nobody asked. ``is_kept``: whether the stamps came from what was kept.
    ``seen``: versions of all rows that were read, None where there are too many to keep anything by. ``has_texts``:
    whether every stamp came with its text, to be verified again.
    """

    community_id: int
    weights: str | None
    threshold: Decimal
    overrides: tuple[tuple[str, str], ...]
    passport_id: int | None
    score_id: int | None
    token: ReadToken
    stamps: tuple[Stamp, ...]
    links: dict[str, Link]
    copies: tuple[Copy, ...]
    points: PointsRead | None
    is_replacing: bool
    listed: str | None
    is_kept: bool
    seen: str | None
    has_texts: bool


class Wanted(NamedTuple):
    """What a request needs beside the stored stamps.

    ``texts``: every stamp with its text, and nothing that was kept. ``replaced``: providers whose stamps it takes away.
    ``posted``: the stamps that it brings.
    """

    points: bool
    texts: bool = False
    listed: bool = False
    replaced: Sequence[str] = ()
    posted: Sequence[Stamp] = ()

    def parameters(self) -> dict[str, Any]:
        nullifiers = {n for stamp in self.posted for n in _nullifiers(stamp)}
        return {
            "reader": READER,
            "verifier": VERIFIER,
            "texts": self.texts,
            "points": self.points,
            "listed": self.listed,
            "replaced": text_array(self.replaced),
            "digests": text_array(stamp.digest for stamp in self.posted),
            "nullifiers": text_array(sorted(nullifiers)),
        }


READ_SCORING = """
-- what scoring an address for a community needs; db/functions/read_scoring_1.sql
SELECT f.community_id AS community_id, f.weights AS weights, f.threshold AS threshold, f.overrides AS overrides,
       f.passport_id AS passport_id, f.score_id AS score_id, f.last_score_timestamp AS last_score_timestamp,
       f.live AS live, f.copies AS copies, f.links AS links, f.is_replacing AS is_replacing, f.reading AS reading,
       f.is_kept AS is_kept, f.posted_links AS posted_links, array_to_string(f.known_digests, ' ') AS known_digests,
       f.listed AS listed, f.points AS points
FROM scorer_fast_read_scoring_1(
    %(scorer_id)s::bigint, %(external_id)s::text, %(account_id)s::bigint, %(address)s::text,
    %(reader)s::text, %(verifier)s::text, %(texts)s::boolean, %(points)s::boolean, %(listed)s::boolean,
    %(replaced)s::text[], %(digests)s::text[], %(nullifiers)s::text[]
) AS f
WHERE f.community_id IS NOT NULL
"""


class ReadScoring(NamedTuple):
    """READ_SCORING's row; texts are JSON, or versions between blanks."""

    community_id: int
    weights: str | None
    threshold: str
    overrides: str | None
    passport_id: int | None
    score_id: int | None
    last_score_timestamp: str | None
    live: str
    copies: str
    links: str | None
    is_replacing: bool
    reading: str
    is_kept: bool
    posted_links: str | None
    known_digests: str | None
    listed: str | None
    points: str | None

    def scoring_row(self, wanted: Wanted) -> ScoringRow:
        reading = loads(self.reading)
        live_ids = _ids(self.live)
        stored = [Stamp(key, *fields) for key, fields in zip(live_ids, reading["stamps"] or (), strict=True)]
        stored = [stamp for stamp in stored if stamp.provider not in wanted.replaced]
        known = set((self.known_digests or "").split())
        posted = [stamp._replace(remembered=stamp.digest in known) for stamp in wanted.posted]
        links = [*(reading["links"] or ()), *loads(self.posted_links, ())]
        seen = None
        if self.links is not None:
            seen = " ".join((self.live, self.copies, self.links, *(link[3] for link in links if len(link) > 3)))
        return ScoringRow(
            community_id=self.community_id,
            weights=self.weights,
            threshold=Decimal(self.threshold),
            overrides=tuple((name, weight) for name, weight in loads(self.overrides, ())),
            passport_id=self.passport_id,
            score_id=self.score_id,
            token=ReadToken(self.live, self.last_score_timestamp),
            stamps=(*stored, *posted),
            links={link[0]: Link(link[0], link[1], datetime.fromisoformat(link[2])) for link in links},
            copies=tuple(
                Copy(id_, None if place is None else live_ids[place - 1])
                for id_, place in zip(_ids(self.copies), reading["copies"] or (), strict=True)
            ),
            points=read_points(self.points),
            is_replacing=self.is_replacing,
            listed=self.listed,
            is_kept=self.is_kept,
            seen=seen,
            has_texts=wanted.texts,
        )


def _ids(versions: str) -> tuple[int, ...]:
    """The ids of versions (``id,xmin,ctid``) between blanks."""
    return tuple(int(version.partition(",")[0]) for version in versions.split())


def _nullifiers(stamp: Stamp) -> Iterable[str]:
    listed = stamp.nullifiers if isinstance(stamp.nullifiers, list) else []
    return (name for name in (stamp.hash, *listed) if isinstance(name, str) and "\0" not in name)


def read_scoring(alias: str, community: CommunityKey, address: str, wanted: Wanted) -> ScoringRow | None:
    """What scoring ``address`` needs; None when there is no such community."""
    parameters = community.parameters() | wanted.parameters() | {"address": address}
    row = fetch_one(alias, READ_SCORING, parameters, repeatable=True)
    return None if row is None else ReadScoring._make(row).scoring_row(wanted)


READ_MANY = """
-- the same for passports of one community, by id, an address at a time; registry_passport pkey
SELECT p.address AS address,
       f.community_id AS community_id, f.weights AS weights, f.threshold AS threshold, f.overrides AS overrides,
       f.passport_id AS passport_id, f.score_id AS score_id, f.last_score_timestamp AS last_score_timestamp,
       f.live AS live, f.copies AS copies, f.links AS links, f.is_replacing AS is_replacing, f.reading AS reading,
       f.is_kept AS is_kept, f.posted_links AS posted_links, array_to_string(f.known_digests, ' ') AS known_digests,
       f.listed AS listed, f.points AS points
FROM (
    SELECT r.id, r.address, r.community_id
    FROM registry_passport AS r
    WHERE r.id = ANY (%(passport_ids)s::bigint[])
    ORDER BY r.id
) AS p
CROSS JOIN LATERAL scorer_fast_read_scoring_1(
    p.community_id, NULL, NULL, p.address,
    %(reader)s::text, %(verifier)s::text, %(texts)s::boolean, %(points)s::boolean, FALSE, '{}', '{}', '{}'
) AS f
ORDER BY p.id
"""


def read_many(alias: str, passport_ids: Sequence[int], wanted: Wanted) -> list[tuple[str, ReadScoring]]:
    """Address and reading of each passport that is still there, by id."""
    parameters = wanted.parameters() | {"passport_ids": list(passport_ids)}
    return [(row[0], ReadScoring._make(row[1:])) for row in fetch_all(alias, READ_MANY, parameters)]


def read_points(text: str | None) -> PointsRead | None:
    """The points object of db/functions/points_1.sql; None outside the points program."""
    if text is None:
        return None
    read = loads(text)
    return PointsRead(
        rows=tuple(map(PointsRow._make, read["rows"] or ())),
        communities=frozenset(read["communities"] or ()),
        lists=frozenset(read["lists"] or ()),
        metamask_full=(read["metamask"] or 0) >= METAMASK_LIMIT,
        active=read["config"] or {},
        multiplier=1 if read["multiplier"] is None else read["multiplier"],
    )


# ---- what the same operations answer without scoring


GET_STORED_SCORE = """
-- the stored score of an address in a community, with points; db/functions/stored_score_1.sql
SELECT f.score AS score, f.stamps AS stamps, f.points AS points
FROM scorer_fast_stored_score_1(%(community_id)s::bigint, %(address)s::text, %(points)s::boolean) AS f
"""


class StoredScoreRow(NamedTuple):
    """GET_STORED_SCORE's row, JSON texts; ``score`` None: the address has no score."""

    score: str | None
    stamps: str | None
    points: str | None

    def stored(self) -> StoredScore | None:
        return None if self.score is None else StoredScore.of(loads(self.score), self.stamps)


def get_stored_score(alias: str, community_id: int, address: str, *, points: bool) -> StoredScoreRow | None:
    """The stored score and the points of an address; None when there is no such community."""
    if abs(community_id) > BIGINT:
        return None
    parameters = {"community_id": community_id, "address": address, "points": points}
    row = fetch_one(alias, GET_STORED_SCORE, parameters, repeatable=True)
    return None if row is None else StoredScoreRow._make(row)


HAS_SCORE = """
-- whether an address has a score in a community; registry_passport (address, community_id), registry_score
-- (passport_id)
SELECT EXISTS (
    SELECT
    FROM registry_passport AS p
    JOIN registry_score AS s ON s.passport_id = p.id
    WHERE p.address = %(address)s
      AND p.community_id = %(community_id)s
) AS has_score
"""


def has_score(alias: str, community_id: int, address: str) -> bool:
    """Whether ``address`` was ever scored in the community of that id."""
    return bool(fetch_value(alias, HAS_SCORE, {"community_id": community_id, "address": address}, repeatable=True))


LIST_STAMPS = """
-- an address's live stamps as the answers list them, JSON; db/functions/live_1.sql, stamps_listed_1.sql
SELECT scorer_fast_stamps_listed_1(l.ids) AS listed
FROM scorer_fast_live_1(%(address)s::text, '{}') AS l
"""


def list_stamps(alias: str, address: str) -> str:
    """The stamps of an address: a JSON array of {id, address, provider, stamp}."""
    return str(fetch_value(alias, LIST_STAMPS, {"address": address}, repeatable=True))


HAS_STAMP_OF = """
-- whether an address has a stamp of one of the providers, a revoked one too;
-- ceramic_cache_ceramiccache (type, address, provider) where live
SELECT EXISTS (
    SELECT
    FROM ceramic_cache_ceramiccache AS c
    WHERE c.address = %(address)s
      AND c.type = 1
      AND c.deleted_at IS NULL
      AND c.provider = ANY (%(providers)s::text[])
) AS has_one
"""


def has_stamp_of(alias: str, address: str, providers: Sequence[str]) -> bool:
    """Whether the address has anything that could be taken away."""
    return bool(fetch_value(alias, HAS_STAMP_OF, {"address": address, "providers": text_array(providers)}))
