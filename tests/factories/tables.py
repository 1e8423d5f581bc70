"""Whole states of the database, for asserting that nothing else changed, or nothing at all."""

import json
from functools import cache
from typing import Any

from django.apps import apps
from django.db import connection

# Remembered signatures are no effect of a request: they are kept whatever becomes of it.
UNOBSERVED = frozenset({"django_migrations", "scorer_fast_verifiedcredential", "django_session"})
SCORING = (
    "registry_passport",
    "registry_score",
    "registry_stamp",
    "registry_hashscorerlink",
    "registry_event",
    "registry_humanpoints",
    "registry_humanpointscommunityqualifiedusers",
    "ceramic_cache_ceramiccache",
)


@cache
def all_tables() -> tuple[str, ...]:
    """Every table of the installed apps."""
    models = apps.get_models(include_auto_created=True)
    return tuple(sorted({model._meta.db_table for model in models if model._meta.managed}))


def state(*tables: str) -> dict[str, list[str]]:
    """The rows of ``tables`` (all of them when none is named) as JSON texts, in one statement."""
    names = tables or tuple(name for name in all_tables() if name not in UNOBSERVED)
    values = ", ".join(
        f"('{name}', (SELECT json_agg(to_jsonb(t)::text ORDER BY to_jsonb(t)::text) FROM \"{name}\" AS t))"
        for name in names
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT json_object_agg(v.name, v.rows)::text FROM (VALUES {values}) AS v (name, rows)")
        found: dict[str, list[str] | None] = json.loads(cursor.fetchone()[0])
    return {name: texts or [] for name, texts in found.items()}


def rows(table: str, *columns: str, **where: Any) -> list[dict[str, Any]]:
    """The rows of a table as JSON objects, by id; with ``columns`` only those."""
    found = [json.loads(text) for text in state(table)[table]]
    found = [row for row in found if all(row[name] == value for name, value in where.items())]
    found.sort(key=lambda row: row.get("id", 0))
    return [{name: row[name] for name in columns} if columns else row for row in found]
