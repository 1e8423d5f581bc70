"""``make sizes``: bytes per address in PostgreSQL, of the host's tables and of this app's, into bench/sizes.json.

Signs STAMPS stamps for each of ADDRESSES new addresses, stores and scores them through the fast path in a database of
its own, and reads the sizes of every table with its indexes and what is stored apart, empty ones taken off.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ADDRESSES, STAMPS = 400, 20
RESULT = Path(__file__).resolve().parent / "sizes.json"

LIST_SIZES = """
SELECT relname::text, pg_total_relation_size(oid)
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


def sizes() -> dict[str, int]:
    """Bytes of each table, with its indexes."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute(LIST_SIZES)
        return dict(cursor.fetchall())


def measure() -> dict[str, Any]:
    """Bytes per address, by table."""
    from django.test import Client

    from api.demo_issuer import Claim, sign_credentials
    from tests.factories import rows
    from tests.factories.requests import INTERNAL

    rows.world_of_one()
    before = sizes()
    owners = [f"0x{number:040x}" for number in range(1, ADDRESSES + 1)]
    signed = iter(sign_credentials(Claim(owner, f"Provider{i:02}") for owner in owners for i in range(STAMPS)))
    client = Client()
    for owner in owners:
        body = {"scorer_id": 1, "stamps": [next(signed) for _ in range(STAMPS)]}
        answered = client.post(
            f"/internal/embed/stamps/{owner}", json.dumps(body), content_type="application/json", headers=INTERNAL
        )
        assert answered.status_code == 200, answered.content
        for _ in range(2):  # what is kept for the next scoring is kept by then
            assert client.get(f"/internal/score/v2/1/{owner}", headers=INTERNAL).status_code == 200
    after = sizes()
    each = {table: round((after[table] - before[table]) / ADDRESSES) for table in after}
    return {
        "addresses": ADDRESSES,
        "stamps": STAMPS,
        "scorings": 3,
        "bytes_per_address": {table: size for table, size in sorted(each.items()) if size > 8},
    }


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.test")
    os.environ.setdefault("TEST_DB_SUFFIX", "sizes")
    import django

    django.setup()
    from django.conf import settings
    from django.test.utils import get_runner, setup_test_environment, teardown_test_environment

    from tests.host import world

    for name, value in world.SETTINGS.items():
        setattr(settings, name, value)
    settings.PASSWORD_HASHERS = ["tests.factories.rows.QuickPBKDF2"]
    setup_test_environment()
    runner = get_runner(settings)(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    try:
        result = measure()
    finally:
        runner.teardown_databases(databases)
        teardown_test_environment()
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
