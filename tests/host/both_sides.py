"""One database, one sequence of requests, both sides in turn: what each answers and what it leaves.

Rows are dicts of column values in JSON, as in a recorded case; `replay.py` masks what differs by run.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from scorer_fast.http.call import call
from tests.contract import replay
from tests.host.asks import Ask

Rows = dict[str, list[dict[str, Any]]]


class Answer(NamedTuple):
    status: int
    body: Any


@dataclass(frozen=True)
class Outcome:
    """Masked answers, and the masked rows of the tables looked at."""

    answers: list[Answer]
    rows: Rows


def ask_host(ask: Ask) -> HttpResponse:
    """The host's own view; the caller's urlconf is `tests.host.urls`."""
    return ask.answer()


def ask_fast(ask: Ask) -> HttpResponse:
    """The fast path; what it did not expect is raised."""
    return call(RequestFactory().generic(**ask.sent()))


def host(seed: Rows, asks: Sequence[Ask], tables: Sequence[str]) -> Outcome:
    return _run(seed, asks, tables, ask_host)


def fast(seed: Rows, asks: Sequence[Ask], tables: Sequence[str]) -> Outcome:
    return _run(seed, asks, tables, ask_fast)


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """What differs between two outcomes, a line each."""
    lines = []
    for number, (one, other) in enumerate(zip(theirs.answers, ours.answers, strict=True)):
        lines += replay.diff(one._asdict(), other._asdict(), f"answer{number}")
    return lines + replay.diff(theirs.rows, ours.rows, "rows")


def _run(seed: Rows, asks: Sequence[Ask], tables: Sequence[str], side: Any) -> Outcome:
    fill(seed)
    cache.clear()
    # To the millisecond, as some stored times are; a margin would take in the seed's own signatures.
    now = datetime.now(UTC)
    started = now.replace(microsecond=now.microsecond // 1000 * 1000)
    answers = []
    for ask in asks:
        response = side(ask)
        answers.append(Answer(response.status_code, _masked(response, started)))
    ended = datetime.now(UTC) + timedelta(seconds=2)
    with connection.cursor() as cursor:
        return Outcome(answers, {table: replay.dump(table, started, ended, cursor) for table in tables})


def _masked(response: HttpResponse, started: datetime) -> Any:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {"<not json>": True}
    return replay.mask(body, started, datetime.now(UTC) + timedelta(seconds=2))


def fill(seed: Rows) -> None:
    """The database holds these rows and no others."""
    with transaction.atomic(), connection.cursor() as cursor:
        for table in _tables(cursor):
            cursor.execute(f'DELETE FROM "{table}"')
        for table, rows in seed.items():
            columns = ", ".join(f'"{column}"' for column in rows[0]) if rows else ""
            if rows:
                cursor.execute(
                    f'INSERT INTO "{table}" ({columns}) '
                    f'SELECT {columns} FROM json_populate_recordset(null::"{table}", %s::json)',
                    [json.dumps(rows)],
                )


def _tables(cursor: Any) -> list[str]:
    """The host's own tables, and the signatures that the fast path remembers."""
    kept = ("auth_permission", "django_", "scorer_fast_")
    names = [name for name in connection.introspection.table_names(cursor) if not name.startswith(kept)]
    return [*names, "scorer_fast_verifiedcredential"]


@contextmanager
def new_ids_apart() -> Iterator[None]:
    """Rows made inside get ids from `replay.NEW` on, which it masks."""
    _restart(replay.NEW + 1)
    try:
        yield
    finally:
        _restart(1)


def _restart(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND column_name = 'id' AND is_identity = 'YES' "
            "AND table_name <> 'django_migrations'"  # whose rows stay
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" ALTER COLUMN id RESTART WITH {number}')
