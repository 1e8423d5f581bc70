"""Keeping what shadow found: groups of differences with a few samples, nothing secret in them."""

from __future__ import annotations

import json
import logging
from typing import Any

from django.db import transaction

from ...models.experiment import Category
from ...settings import conf
from ..compare import Answer, Difference
from ..deliberate import RecordedRequest
from ..redact import Redactor
from . import finding_queries as sql
from .handle import Handle

logger = logging.getLogger(__name__)


def store(
    handle: Handle,
    control: Answer,
    candidate: Answer,
    findings: list[tuple[Category, str, Difference]],
) -> None:
    if not findings:
        return
    redactor = Redactor(
        headers=handle.recorded.headers,
        path=handle.recorded.path,
        body=handle.recorded.body,
        secrets=(conf.internal_token, conf.demo_api_key, conf.jwt_signing_key),
    )
    groups: dict[sql.GroupKey, Difference] = {}
    for category, rule, difference in findings:
        path = redactor.text(difference.path)[:200]
        key = sql.GroupKey(handle.operation.id, category.value, path, difference.kind.value, rule)
        groups.setdefault(key, difference)
    request = json.dumps(_storable(redacted_request(handle.recorded, redactor)), allow_nan=False)
    alias = conf.database
    with transaction.atomic(using=alias):
        # In key order: two processes that find the same things must not wait for each other.
        for key in sorted(groups):
            group = sql.upsert_mismatch(alias, key, None, most=conf.shadow_groups_per_operation)
            if group is None:
                other = key._replace(path="other", kind="", rule="")
                group = sql.upsert_mismatch(alias, other, None, most=0)
            if group is None or group.seen > conf.shadow_samples_per_group:
                continue
            difference = groups[key]
            sql.insert_sample(
                alias,
                group.id,
                None,
                request=request,
                control=_sample(control, difference.control, redactor),
                candidate=_sample(candidate, difference.candidate, redactor),
            )
            if group.seen == 1 and key.category == Category.MISMATCH.value:
                logger.warning("shadow: %s differs from the host at %s (%s)", key.operation, key.path, key.kind)


def redacted_request(recorded: RecordedRequest, redactor: Redactor) -> dict[str, Any]:
    """A request as a sample keeps it."""
    return {
        "method": recorded.method,
        "path": redactor.path(recorded.path),
        "headers": redactor.headers(recorded.headers),
        "body": redactor.body(recorded.body),
    }


def _sample(answer: Answer, value: Any, redactor: Redactor) -> str:
    kept = {
        "status": answer.status,
        "body": redactor.body(answer.body),
        "value": redactor.json(json.loads(json.dumps(value, default=str))),
    }
    # jsonb holds neither NUL nor lone surrogates, nor NaN.
    return json.dumps(_storable(kept), allow_nan=False)


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_storable(key): _storable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("\x00", "\\u0000").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
