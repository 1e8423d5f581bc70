"""registry_humanpoints, as the reads bring it."""

from __future__ import annotations

import orjson

from ..domain.points import METAMASK_LIMIT, PointsRead, PointsRow


def read_points(text: str | None) -> PointsRead | None:
    """The points object that scoring and stored-score reads carry; None outside the points program."""
    if text is None:
        return None
    read = orjson.loads(text)
    return PointsRead(
        rows=tuple(map(PointsRow._make, read["rows"] or ())),
        communities=frozenset(read["communities"] or ()),
        lists=frozenset(read["lists"] or ()),
        metamask_full=(read["metamask"] or 0) >= METAMASK_LIMIT,
        active=read["config"] or {},
        multiplier=1 if read["multiplier"] is None else read["multiplier"],
    )
