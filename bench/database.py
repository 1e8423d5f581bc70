"""The benchmark's databases, on a PostgreSQL of the benchmark's own: made once, each run starts on a fresh copy.

python -m bench.database fill         # in a process of its own, on the database that DATABASE_URL names
python -m bench.database migrate      # runs the migrations there
python -m bench.database keep         # makes what was kept in the template hold in the copy
python -m bench.database score PART   # scores a part of the addresses there
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg

from bench import addresses, huge_pages, stamps
from bench.addresses import ADDRESSES, COMMUNITIES, KEYS, SCORED, SPARES, STAMPS, address, provider
from bench.server_environment import environment
from settings.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent
SCORERS = 2  # processes that score, while the template is made
RUN = "bench_run"
SHARED_BUFFERS = "2GB"  # holds the database, as a server in production holds what is in use
CONTENT = 5  # another number for another content: the template is made anew


def cluster() -> EmbeddedPostgres:
    """A server of its own: what the tests do to theirs is not measured, and its CPU time is the benchmark's."""
    return EmbeddedPostgres(stamps.DATA / "postgres", options={"shared_buffers": SHARED_BUFFERS})


def fingerprint() -> str:
    """Of what the template follows from; another one makes a new template. Later migrations run on the copy."""
    numbers = {name: value for name, value in vars(addresses).items() if name.isupper()}
    mark = hashlib.sha256(repr((CONTENT, numbers, stamps.ISSUED, stamps.EXPIRES)).encode())
    for path in sorted(ROOT.glob("api/*/migrations/*.py")):
        mark.update(path.read_bytes())
    return mark.hexdigest()[:12]


def template_name() -> str:
    return f"bench_{fingerprint()}"


def run_database() -> str:
    """The URL of a fresh copy of the template, in memory; the template is made where it is missing."""
    server = cluster()
    give_memory(server)
    template = template_name()
    with maintenance(server) as connection:
        if is_missing(server, connection, template):
            _make_template(server, connection, template)
    return fresh_copy(RUN)


def fresh_copy(name: str, root: Path = ROOT) -> str:
    """The URL of a copy of the template, in memory, with the migrations and functions of the checkout ``root``."""
    server = cluster()
    with maintenance(server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_name()} STRATEGY FILE_COPY")
    url = server.url(name)
    if root == ROOT:
        call(url, "migrate")
        call(url, "keep")
    else:
        _take_out(url)
        call(url, "migrate", root=root)
        _score_all(url, root)
    read_once(url)
    return url


def _take_out(url: str) -> None:
    """Remove what this checkout's app has in the database: another one makes its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        for kind, statement in (
            ("TABLE", "SELECT quote_ident(tablename) FROM pg_tables WHERE starts_with(tablename, 'scorer_fast_')"),
            ("FUNCTION", "SELECT oid::regprocedure::text FROM pg_proc WHERE starts_with(proname, 'scorer_fast_')"),
        ):
            for (each,) in connection.execute(statement).fetchall():
                connection.execute(f"DROP {kind} {each} CASCADE")
        connection.execute("DELETE FROM django_migrations WHERE app = 'scorer_fast'")


def _score_all(url: str, root: Path = ROOT) -> None:
    parts = [start(url, "score", str(part), root=root) for part in range(SCORERS)]
    if any(part.wait() for part in parts):
        raise SystemExit("The addresses could not be scored.")


def give_memory(server: EmbeddedPostgres) -> None:
    """Restart a server that runs with other shared buffers, or without huge pages where it can have them."""
    if setting(server, "shared_buffers") != SHARED_BUFFERS:
        server.stop()  # an earlier checkout started it
    if setting(server, "huge_pages_status") == "on":
        return
    with huge_pages.reserved(int(setting(server, "shared_memory_size_in_huge_pages"))) as there_are:
        if there_are:
            server.stop()
            server.ensure_running()


def setting(server: EmbeddedPostgres, name: str) -> str:
    """A setting of the running server."""
    with maintenance(server) as connection:
        found = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert found is not None
    value: str = found[0]
    return value


def is_missing(server: EmbeddedPostgres, connection: psycopg.Connection[Any], name: str) -> bool:
    """Whether a database has to be made: there is none, or not all of it is left."""
    found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
    return found is None or lost_what_was_kept(server.url(name))


def lost_what_was_kept(url: str) -> bool:
    """Whether a crash of PostgreSQL emptied the unlogged tables: an address is then read as if it was never scored."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT FROM scorer_fast_keptreading LIMIT 1").fetchone() is None


def read_once(url: str) -> None:
    """Read every table and every index, so that PostgreSQL has them in memory, as after a while in production.

    Its extension that does it (pg_prewarm) is not at hand everywhere.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET enable_indexonlyscan = off; SET max_parallel_workers_per_gather = 0")
        for (table,) in connection.execute(TABLES).fetchall():
            connection.execute(f"SELECT count(*) FROM {table}")
        # An index that has the wanted order is walked from end to end.
        connection.execute("RESET enable_indexonlyscan; SET enable_seqscan = off; SET enable_sort = off")
        for table, predicate, order in connection.execute(INDEXES).fetchall():
            connection.execute(
                f"SELECT count(*) FROM (SELECT FROM {table} WHERE {predicate} ORDER BY {order} OFFSET 0) AS t"
            )


TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"

INDEXES = """
SELECT i.indrelid::regclass::text, COALESCE(pg_get_expr(i.indpred, i.indrelid), 'TRUE'),
       (SELECT string_agg(
                   pg_get_indexdef(i.indexrelid, n.number, TRUE)
                   || CASE WHEN o.opcname LIKE '%pattern%' THEN ' USING ~<~' ELSE '' END,
                   ', ' ORDER BY n.number)
        FROM generate_series(1, i.indnkeyatts) AS n (number)
        JOIN pg_opclass AS o ON o.oid = i.indclass[n.number - 1])
FROM pg_index AS i
JOIN pg_class AS t ON t.oid = i.indrelid
WHERE t.relkind = 'r'
  AND t.relnamespace = 'public'::regnamespace
"""


def maintenance(server: EmbeddedPostgres) -> psycopg.Connection[Any]:
    return psycopg.connect(server.url("postgres"), autocommit=True)


def _make_template(server: EmbeddedPostgres, connection: psycopg.Connection[Any], template: str) -> None:
    stamps.ensure()
    print(f"Making the database of {ADDRESSES:,} addresses (once) …", flush=True)
    unfinished = f"{template}_unfinished"
    for old in [row[0] for row in connection.execute("SELECT datname FROM pg_database")]:
        if old.startswith("bench_") and not old.startswith("bench_flat"):
            connection.execute(f"DROP DATABASE {old} WITH (FORCE)")
    connection.execute(f"CREATE DATABASE {unfinished}")
    url = server.url(unfinished)
    call(url, "fill")
    _score_all(url)
    with psycopg.connect(url, autocommit=True) as finished:
        finished.execute("VACUUM (ANALYZE, FREEZE)")
    connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {template}")


def start(url: str, *arguments: str, root: Path = ROOT) -> subprocess.Popen[bytes]:
    """``python -m bench.database ARGUMENT …`` of the checkout ``root`` on the database of ``url``."""
    more = {"PGOPTIONS": "-c synchronous_commit=off", "LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-m", "bench.database", *arguments]
    return subprocess.Popen(command, cwd=root, env=environment(url, **more))


def call(url: str, *arguments: str, root: Path = ROOT) -> None:
    if start(url, *arguments, root=root).wait():
        raise SystemExit(f"bench.database {arguments[0]} failed.")


# ---- what is in it


def fill() -> None:
    """Migrate, and store everything but scores."""
    migrate()
    from django.db import connection

    make_communities()
    connection.ensure_connection()
    raw = connection.connection
    copy_stamps(raw)
    with connection.cursor() as cursor:
        for statement in LOOKUPS:
            cursor.execute(statement)


def migrate() -> None:
    """Whatever migrations the template has not seen, and this checkout's functions."""
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    call_command("migrate", verbosity=0)
    from scorer_fast.db.functions import NAMES, create_missing

    with connection.cursor() as cursor:
        for name in NAMES:
            cursor.execute(f"DROP FUNCTION IF EXISTS scorer_fast_{name}")
    create_missing("default")


def keep() -> None:
    """What was kept in the template is bound to it: bind it to this copy, whose rows have the same versions."""
    import django
    from django.db import connection

    django.setup()
    from scorer_fast.scoring.read import READER

    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE scorer_fast_keptreading AS k
            SET token = scorer_fast_token_1(
                %s, array_to_string(v.live, ' '), array_to_string(v.copies, ' '), array_to_string(v.links, ' '))
            FROM registry_passport AS p
            CROSS JOIN LATERAL scorer_fast_versions_1(p.address, p.community_id, p.id, '{}') AS v
            WHERE p.id = k.passport_id AND k.others = '{}'
            """,
            [READER],
        )
        cursor.execute("VACUUM ANALYZE scorer_fast_keptreading")


def make_communities() -> None:
    """The account, its keys, the two scored communities with a customization, and the others."""
    from decimal import Decimal

    from django.contrib.auth import get_user_model

    from api.account import models as account
    from api.registry.models import HumanPointsConfig
    from api.scorer_weighted.models import BinaryWeightedScorer

    user = get_user_model().objects.create(username="bench", password="!")
    owner = account.Account.objects.create(user=user, address=address(-1))
    keys = [(addresses.API_KEY, True), *((addresses.waiting_key(number), False) for number in range(KEYS))]
    account.AccountAPIKey.objects.bulk_create(
        account.AccountAPIKey(
            id=f"{prefix}.{hashed}",
            prefix=prefix,
            hashed_key=hashed,
            hashed_key_sha256=account.hash_key_sha256(key) if migrated else None,
            name="bench",
            account=owner,
            rate_limit="",
        )
        for key, migrated in keys
        for prefix in [key.partition(".")[0]]
        for hashed in ["sha512$$" + hashlib.sha512(key.encode()).hexdigest()]
    )
    weights = {provider(number): str(1 + number / 10) for number in range(STAMPS + 40)}
    for number in range(1, COMMUNITIES + 3):
        scorer = BinaryWeightedScorer.objects.create(weights=weights, threshold=Decimal(20))
        account.Community.objects.create(
            pk=number,
            name=f"Community {number}",
            account=owner,
            scorer=scorer,
            human_points_program=number == addresses.CACHE_SCORER,
        )
    customization = account.Customization.objects.create(path="bench", scorer_id=addresses.SCORER, partner_name="bench")
    members = account.AddressList.objects.create(name="members")
    account.AllowList.objects.create(customization=customization, address_list=members, weight=Decimal("2.5"))
    ruleset = account.CustomCredentialRuleset.objects.create(
        name="bench", provider_id="DeveloperList#bench#0", definition={"conditions": [{"count": 3}] * 5}
    )
    account.CustomCredentialRuleset.objects.bulk_create(
        account.CustomCredentialRuleset(
            name="bench", provider_id=f"DeveloperList#bench#{number}", definition={"conditions": [{"count": 3}] * 5}
        )
        for number in range(1, 2000)
    )
    account.CustomCredential.objects.create(
        customization=customization,
        platform=account.CustomPlatform.objects.create(name="bench"),
        ruleset=ruleset,
        weight=Decimal("1.25"),
        display_name="bench",
    )
    HumanPointsConfig.objects.bulk_create(
        HumanPointsConfig(action=action, points=points)
        for action, points in {"SCB": 500, "HKY": 100, "ISB": 20, "HPH": 50, "HBI": 120, "HIM": 300}.items()
    )


COPY_STAMPS = """
COPY ceramic_cache_ceramiccache (
    address, provider, stamp, created_at, updated_at, type, compose_db_save_status, compose_db_stream_id,
    proof_value, issuance_date, expiration_date, source_app)
FROM STDIN
"""


def copy_stamps(raw: psycopg.Connection[Any]) -> None:
    """The signed stamps, and those to be posted into a table of the benchmark's."""
    spare: list[tuple[str, str]] = []
    with raw.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_address (number bigint PRIMARY KEY, address text NOT NULL)")
        cursor.execute("CREATE TABLE bench_spare (address text PRIMARY KEY, stamp text NOT NULL)")
        with cursor.copy("COPY bench_address FROM STDIN") as copy:
            for number in range(ADDRESSES):
                copy.write_row((number, address(number)))
        with cursor.copy(COPY_STAMPS) as copy:
            for credential in stamps.read():
                subject, text = credential["credentialSubject"], orjson.dumps(credential).decode()
                owner = subject["id"].rpartition(":")[2]
                if subject["provider"] == provider(STAMPS):
                    spare.append((owner, text))
                    continue
                issued, expires = credential["issuanceDate"], credential["expirationDate"]
                proof = credential["proof"]["proofValue"]
                copy.write_row(
                    (owner, subject["provider"], text, issued, issued, 1, "pending", "", proof, issued, expires, 1)
                )
        with cursor.copy("COPY bench_spare FROM STDIN") as copy:
            for row in spare:
                copy.write_row(row)
    if len(spare) != SPARES:
        raise SystemExit(f"{len(spare)} stamps to post instead of {SPARES}")


# What the look-ups find: a few rows for every address.
LOOKUPS = (
    """
    INSERT INTO account_addresslistmember (address, list_id)
    SELECT a.address, (SELECT id FROM account_addresslist WHERE name = 'members')
    FROM bench_address AS a WHERE a.number % 2 = 0
    """,
    """
    INSERT INTO ceramic_cache_banlist (name, description, csv_file) VALUES ('bench', '', '')
    """,
    """
    INSERT INTO ceramic_cache_ban (provider, hash, address, end_time, reason, type, created_at, ban_list_id)
    SELECT CASE WHEN a.number % 8 = 0 THEN 'Provider00' ELSE '' END, '', a.address, now() + interval '10 years',
           'bench', CASE WHEN a.number % 8 = 0 THEN 'single_stamp' ELSE 'account' END, now(), b.id
    FROM bench_address AS a CROSS JOIN ceramic_cache_banlist AS b WHERE a.number % 4 = 0
    """,
    """
    INSERT INTO stake_stake (chain, lock_time, unlock_time, last_updated_in_block, staker, stakee, current_amount)
    SELECT c.chain, now(), now() + interval '90 days', 19000000 + a.number, a.address, o.address, 12.5
    FROM bench_address AS a
    JOIN bench_address AS o ON o.number = (a.number + 1) % 10000
    CROSS JOIN (VALUES (1), (10)) AS c (chain)
    """,
    """
    INSERT INTO registry_gtcstakeevent (event_type, round_id, staker, address, amount, staked, block_number, tx_hash)
    SELECT 'SelfStake', r.round, a.address, a.address, 5, TRUE, 15000000 + a.number, '0x' || repeat('0', 64)
    FROM bench_address AS a CROSS JOIN (VALUES (1), (2)) AS r (round)
    """,
    """
    INSERT INTO cgrants_profile (handle, data) SELECT 'bench' || n, '{}' FROM generate_series(1, 100) AS n
    """,
    """
    INSERT INTO cgrants_grant (hidden, active, is_clr_eligible, data, admin_profile_id)
    SELECT FALSE, TRUE, TRUE, '{}', p.id FROM cgrants_profile AS p
    """,
    """
    INSERT INTO cgrants_subscription (data, contributor_profile_id, grant_id, is_mainnet)
    SELECT '{}', g.admin_profile_id, g.id, TRUE FROM cgrants_grant AS g
    """,
    """
    INSERT INTO cgrants_contribution (data, subscription_id, success, amount_per_period_usdt)
    SELECT '{}', s.id, TRUE, 5
    FROM bench_address AS a
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM cgrants_subscription) AS s
      ON s.place = a.number % 100
    """,
    """
    INSERT INTO cgrants_grantcontributionindex (
        round_num, amount, contribution_id, grant_id, profile_id, contributor_address)
    SELECT 1, 5, c.id, s.grant_id, s.contributor_profile_id, a.address
    FROM (SELECT id, subscription_id, row_number() OVER (ORDER BY id) - 1 AS place FROM cgrants_contribution) AS c
    JOIN cgrants_subscription AS s ON s.id = c.subscription_id
    JOIN bench_address AS a ON a.number = c.place
    """,
    """
    INSERT INTO cgrants_roundmapping (round_number, round_eth_address)
    SELECT n::text, '0xround' || n FROM generate_series(1, 20) AS n
    """,
    """
    INSERT INTO cgrants_protocolcontributions (ext_id, contributor, round, project, amount, data)
    SELECT a.number || '-' || n, a.address, '0xround' || n, 'project' || (a.number + n) % 300, 3.25, '{}'
    FROM bench_address AS a CROSS JOIN generate_series(1, 3) AS n
    """,
    """
    INSERT INTO cgrants_squelchedaccounts (address, score_when_squelched, sybil_signal, round_number)
    SELECT a.address, 0, FALSE, '2' FROM bench_address AS a WHERE a.number % 10 = 0
    """,
    """
    INSERT INTO ceramic_cache_revocation (proof_value, ceramic_cache_id)
    SELECT c.proof_value, c.id FROM ceramic_cache_ceramiccache AS c
    JOIN bench_address AS a ON a.address = c.address
    WHERE a.number >= 9900 AND c.provider = 'Provider00'
    """,
    """
    SELECT setval(pg_get_serial_sequence('account_community', 'id'), (SELECT max(id) FROM account_community))
    """,
)


def to_score(part: int) -> Iterator[tuple[int, str]]:
    for number in range(part, SCORED, SCORERS):
        yield addresses.SCORER, address(number)
        yield addresses.CACHE_SCORER, address(number)


def score(part: int) -> None:
    """Score a part of the addresses by the app itself."""
    import django

    django.setup()
    from tests.factories.scoring import score as score_of

    for scorer, owner in to_score(part):
        if score_of(owner, scorer)["error"] is not None:
            raise SystemExit(f"{owner} could not be scored")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill"]:
            fill()
        case ["migrate"]:
            migrate()
        case ["keep"]:
            keep()
        case ["score", part]:
            score(int(part))
            sys.stdout.flush()
            os._exit(0)  # didkit's threads outlive the interpreter
