"""Every recorded case, one test each: status, body and the rows that it leaves."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper

from tests.contract import replay

NEW_IDS = """
    -- ids that a case hands out start where replay.py takes them for new
    SELECT setval(pg_get_serial_sequence(quote_ident(table_name), column_name), %(below)s)
    FROM information_schema.columns
    WHERE table_schema = current_schema()
      AND is_identity = 'YES'
      AND table_name <> 'django_migrations'
"""

# By folder and name: both revisions of the host, on one database at the newer schema.
CASES = {
    f"{file.parent.name}/{file.name.removesuffix('.json.gz')}": file
    for file in Path(__file__).parent.glob("golden*/*.json.gz")
}
LATER = {"account_customplatform": {"is_evm": False}}  # columns that are NOT NULL since 2026-07


def load(seed: dict[str, Any], cursor: CursorWrapper, tables: list[str]) -> None:
    """What replay.load does, for a database that is empty already: truncating takes longer than a case."""
    cursor.execute(NEW_IDS, {"below": replay.NEW})
    for table, rows in seed.items():
        name = connection.ops.quote_name(table)
        for row in ({**LATER.get(table, {}), **row} for row in rows):
            columns = ", ".join(map(connection.ops.quote_name, row))
            given = f"SELECT {columns} FROM json_populate_record(NULL::{name}, %s::json)"
            cursor.execute(f"INSERT INTO {name} ({columns}) {given}", [json.dumps(row)])


def problems(case: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """What differs from the record, a line each."""
    lines = [
        line
        for number, (step, seen) in enumerate(zip(case["steps"], got["steps"], strict=True))
        for line in replay.diff(step["expect"], seen, f"step{number}")
    ]
    rows = {table: got["after"].get(table) for table in case["expect_rows"]}
    return lines + replay.diff(case["expect_rows"], rows, "rows")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", sorted(CASES))
def test_recorded_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "load", load)
    case = replay.read(CASES[name])
    case["after"] = sorted({*case["after"], *case["expect_rows"]})
    found = problems(case, replay.run_case(case, []))
    assert not found, f"{name}: {case['note']}\n" + "\n".join(found)
