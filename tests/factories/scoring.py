"""Scoring without a request, as a request would: for tests that look at what it reads, keeps and writes."""

from typing import Any

import orjson

from scorer_fast.db.communities import CommunityKey
from scorer_fast.run import Run
from scorer_fast.scoring import operations, service
from scorer_fast.scoring.read import ScoringRow, Wanted, read_scoring
from scorer_fast.scoring.write import plan_json
from tests.factories import rows


def score(owner: str = rows.OWNER, community_id: int = 1) -> dict[str, Any]:
    """The Score body of an address in a community."""
    answer = service.answer(Run(), operations.internal_score(community_id, owner)).answer()
    body: dict[str, Any] = orjson.loads(orjson.dumps(answer))
    return body


def timeless(body: dict[str, Any]) -> dict[str, Any]:
    """A Score body without the time at which it was made."""
    return {name: value for name, value in body.items() if name != "last_score_timestamp"}


def reading(owner: str = rows.OWNER, community_id: int = 1, **wanted: Any) -> ScoringRow:
    """What scoring would read."""
    community = CommunityKey(community_id, external=False)
    row = read_scoring("default", community, owner, Wanted(points=True, **wanted))
    assert row is not None
    return row


def plan_text(owner: str = rows.OWNER, community_id: int = 1, *, awaited: bool = False) -> str:
    """The plan of an address's next scoring, as the database takes it."""
    run = Run()
    plan, checked = service.decide_row(run, reading(owner, community_id), owner, service.rules())
    return plan_json(run, plan, checked, awaited=awaited)
