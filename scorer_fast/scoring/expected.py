"""A plan's writes as the rows that would be there afterwards: what a rehearsal shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from ..settings import conf
from . import context
from .effects import read_effects
from .plan import Plan
from .verifier import VERIFIER


def show(plan: Plan, deciding: context.Deciding) -> None:
    """Hand the plan's rows to the rehearsal instead of writing them; posted stamps get no ids."""
    row = plan.row
    touched = sorted({h for stamp in plan.dedup.counting for h in stamp.nullifiers}
                     | {h for clash in plan.dedup.clashes for h in clash.nullifiers} | set(row.links))  # fmt: skip
    deciding.plan(
        lambda: expected_rows(plan),
        lambda: read_effects(
            conf.database,
            plan.address,
            row.community_id,
            hashes=touched,
            verifier=VERIFIER,
            points=row.points is not None,
            cache=bool(plan.change),
            since=deciding.started,
        ),
    )


def expected_rows(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """Per table the rows once ``plan`` is written, shaped like ``sql.effects`` reads them.

    Ids that the request itself creates are None.
    """
    row, score = plan.row, plan.score
    events = [{"action": "LDP", "data": data, "created_at": _iso(plan.now)} for data in plan.dedup_events()]
    events.append({"action": "SCU", "data": plan.score_event(), "created_at": _iso(plan.now)})
    links = {link.hash: (link.address, link.expires_at) for link in row.links.values()}
    links |= {link.hash: (link.address, link.expires_at) for link in plan.dedup.new_links}
    links |= {link.hash: (plan.address, link.expires_at) for link in plan.dedup.changed_links}
    points = plan.points
    change = plan.change
    rows: dict[str, list[dict[str, Any]]] = {
        "registry_passport": [{"address": plan.address, "community_id": row.community_id}],
        "registry_score": [
            {
                "score": str(int(score.passing)),
                "status": "DONE",
                "error": None,
                "evidence": score.evidence,
                "stamp_scores": score.stamp_scores,
                "stamps": score.stamps,
                "expiration_date": _iso(score.expires_at),
                "last_score_timestamp": _iso(plan.now),
            }
        ],
        "registry_stamp": [
            {"provider": stamp.provider, "credential_digest": stamp.digest} for stamp in plan.dedup.counting
        ],
        "registry_hashscorerlink": [
            {"hash": hash_, "address": address, "expires_at": _iso(until)} for hash_, (address, until) in links.items()
        ],
        "registry_event": events,
        "registry_humanpoints": [] if points is None else [row._asdict() for row in points.rows],
        "registry_humanpointscommunityqualifiedusers": []
        if points is None
        else [{"community_id": community_id} for community_id in sorted(points.communities)],
        "ceramic_cache_ceramiccache": [
            {"provider": stamp.provider, "stamp_digest": stamp.digest} for stamp in row.stamps
        ]
        if change
        else [],
        "ceramic_cache_ceramiccache created": [
            {
                "provider": stamp.provider,
                "proof_value": stamp.proof_value,
                "source_app": change.source_app,
                "source_scorer_id": change.source_scorer_id,
                "issuance_date": _iso(stamp.issuance_date),
                "expiration_date": _iso(stamp.expiration_date),
                "compose_db_save_status": "pending",
                "compose_db_stream_id": "",
            }
            for stamp in change.stamps
        ],
    }
    normal: dict[str, list[dict[str, Any]]] = orjson.loads(orjson.dumps(rows))
    return normal


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.astimezone(UTC).isoformat()
