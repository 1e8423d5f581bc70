"""How the cost of a score grows with the stamps of the address, and with the addresses in the tables."""

from __future__ import annotations

import statistics
from typing import Any

import orjson
import psycopg

from api.demo_issuer import Claim, sign_credentials
from bench import addresses, database, operations, traffic
from bench.addresses import address
from bench.load import Load
from bench.measure import Bench, Cell, Size
from bench.plans import plans
from bench.servers import GUNICORN, Server
from bench.stamps import EXPIRES, ISSUED

STAMPS = (1, 5, 20, 100)
OWNERS = 8  # addresses for each number of stamps
FILLERS = 1_000_000
ONE_FILLER_HAS = 1  # stamps

INSERT_STAMP = """
INSERT INTO ceramic_cache_ceramiccache (
    address, provider, stamp, created_at, updated_at, type, compose_db_save_status, compose_db_stream_id,
    proof_value, issuance_date, expiration_date, source_app)
VALUES (%s, %s, %s, now(), now(), 1, 'pending', '', %s, %s, %s, 1)
"""


def owner(stamps: int, number: int) -> str:
    return address(-1000 * stamps - number - 2)


def in_stamps(url: str, load: Load, *, rounds: int) -> dict[str, Any]:
    """p50 of ``v2_score`` in its steady state for 1, 5, 20 and 100 stamps, and the straight line through them."""
    claims = [
        Claim(owner(count, number), f"Provider{stamp:02}", issued=ISSUED, expires=EXPIRES)
        for count in STAMPS
        for number in range(OWNERS)
        for stamp in range(count)
    ]
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany(
            INSERT_STAMP,
            [
                (c.address, c.provider, orjson.dumps(s).decode(), s["proof"]["proofValue"], ISSUED, EXPIRES)
                for c, s in zip(claims, sign_credentials(claims), strict=True)
            ],
        )

    def give(cell: Cell, wanted: int) -> list[str]:
        if cell.operation == traffic.FLOOR:
            return [traffic.FLOOR_REQUEST]
        paths = [f"/v2/stamps/{addresses.SCORER}/score/{owner(int(cell.state), number)}" for number in range(OWNERS)]
        return [traffic.http("GET", path, traffic.KEY) for path in paths]

    with Server(GUNICORN, url) as server:
        bench = Bench(load, {"fast": server}, database.cluster(), give)
        cells = [(Cell("fast", "v2_score", str(count), 1), Size(0.5, 2000), "") for count in STAMPS]
        floor = Cell("fast", traffic.FLOOR, "steady", 1)
        for cell, _, _ in cells:
            bench.measure(cell, Size(5, 3 * OWNERS))
        bench.measure(floor, Size(0.2, 2000))
        bench.rounds(cells, [(floor, Size(0.3, 5000))], rounds)
    figures = bench.figures
    p50 = {count: figures.median(Cell("fast", "v2_score", str(count), 1), "p50") for count in STAMPS}
    slope, start = statistics.linear_regression(STAMPS, list(p50.values()))
    return {
        "p50_ms": {str(count): round(value, 3) for count, value in p50.items()},
        "p50_to_floor": {
            str(count): round(figures.ratio(Cell("fast", "v2_score", str(count), 1), floor, "p50"), 3)
            for count in STAMPS
        },
        "line_ms": {"per_stamp": round(slope, 4), "at_none": round(start, 3)},
        "correlation": round(statistics.correlation(STAMPS, list(p50.values())), 4),
    }


# Small unsigned rows, in every table that a request reads by address; the ids follow the ones that are there.
FILL = (
    """
    CREATE TABLE bench_filler AS
    SELECT n AS number, '0x' || left(encode(sha256(convert_to('filler ' || n, 'UTF8')), 'hex'), 40) AS address
    FROM generate_series(1, %(fillers)s) AS n
    """,
    """
    INSERT INTO ceramic_cache_ceramiccache (
        address, provider, stamp, created_at, updated_at, type,
        compose_db_save_status, compose_db_stream_id, proof_value)
    SELECT f.address, 'Provider0' || s, '{}', now(), now(), 1, 'pending', '', f.number || ':' || s
    FROM bench_filler AS f CROSS JOIN generate_series(1, %(each)s) AS s
    """,
    """
    INSERT INTO registry_passport (address, community_id) SELECT f.address, 1 FROM bench_filler AS f
    """,
    """
    INSERT INTO registry_score (passport_id, score, last_score_timestamp, status, evidence, stamp_scores, stamps)
    SELECT p.id, 0, now(), 'DONE', '{}', '{}', '{}'
    FROM registry_passport AS p JOIN bench_filler AS f ON f.address = p.address AND p.community_id = 1
    """,
    """
    INSERT INTO registry_stamp (passport_id, provider, credential)
    SELECT p.id, 'Provider0' || s, '{}'
    FROM registry_passport AS p JOIN bench_filler AS f ON f.address = p.address AND p.community_id = 1
    CROSS JOIN generate_series(1, %(each)s) AS s
    """,
    """
    INSERT INTO registry_hashscorerlink (hash, address, expires_at, community_id)
    SELECT 'v0.0.0:' || f.number || ':' || s, f.address, now(), 1
    FROM bench_filler AS f CROSS JOIN generate_series(1, %(each)s) AS s
    """,
    """
    INSERT INTO registry_event (action, address, created_at, data, community_id)
    SELECT 'SCU', f.address, now(), '{}', 1 FROM bench_filler AS f
    """,
    """
    INSERT INTO scorer_fast_verifiedcredential (digest, expires_at, verified_at)
    SELECT sha256(convert_to(f.number || ':' || s, 'UTF8')), now(), now()
    FROM bench_filler AS f CROSS JOIN generate_series(1, %(each)s) AS s
    """,
    """
    INSERT INTO registry_humanpoints (address, action, timestamp, tx_hash, chain_id, provider)
    SELECT f.address, 'HKY', now(), f.number::text, 0, 'Provider01' FROM bench_filler AS f
    """,
    """
    INSERT INTO registry_humanpointscommunityqualifiedusers (address, community_id)
    SELECT f.address, 2 FROM bench_filler AS f
    """,
    """
    INSERT INTO account_addresslistmember (address, list_id)
    SELECT f.address, (SELECT id FROM account_addresslist WHERE name = 'members') FROM bench_filler AS f
    """,
    """
    INSERT INTO ceramic_cache_ban (provider, hash, address, end_time, reason, type, created_at)
    SELECT '', '', f.address, now() + interval '1 year', '', 'account', now() FROM bench_filler AS f
    """,
    """
    INSERT INTO ceramic_cache_revocation (proof_value, ceramic_cache_id)
    SELECT c.proof_value, c.id
    FROM ceramic_cache_ceramiccache AS c JOIN bench_filler AS f ON f.address = c.address
    WHERE c.provider = 'Provider01' AND f.number %% 2 = 0
    """,
    """
    INSERT INTO stake_stake (chain, lock_time, unlock_time, last_updated_in_block, staker, stakee, current_amount)
    SELECT 1, now(), now(), f.number, f.address, f.address, 1 FROM bench_filler AS f
    """,
    """
    INSERT INTO registry_gtcstakeevent (event_type, round_id, staker, address, amount, staked, block_number, tx_hash)
    SELECT 'SelfStake', 1, f.address, f.address, 1, TRUE, f.number, '' FROM bench_filler AS f
    """,
    """
    INSERT INTO cgrants_protocolcontributions (ext_id, contributor, round, project, amount, data)
    SELECT 'filler-' || f.number, f.address, '0xround1', 'project1', 1, '{}' FROM bench_filler AS f
    """,
    """
    INSERT INTO cgrants_grantcontributionindex (
        round_num, amount, contribution_id, grant_id, profile_id, contributor_address)
    SELECT 1, 1, c.id, g.id, g.admin_profile_id, f.address
    FROM bench_filler AS f
    CROSS JOIN (SELECT id FROM cgrants_contribution ORDER BY id LIMIT 1) AS c
    CROSS JOIN (SELECT id, admin_profile_id FROM cgrants_grant ORDER BY id LIMIT 1) AS g
    """,
    """
    INSERT INTO cgrants_squelchedaccounts (address, score_when_squelched, sybil_signal, round_number)
    SELECT f.address, 0, FALSE, '1' FROM bench_filler AS f
    """,
)


# Built once at the end, an index takes a fraction of what a million single entries take.
PLAIN_INDEXES = """
SELECT i.indexname, i.indexdef
FROM pg_indexes AS i
WHERE i.schemaname = 'public'
  AND i.tablename ~ '^(account|ceramic|cgrants|registry|scorer|stake)_'
  AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conname = i.indexname)
  AND i.tablename NOT IN ('registry_passport', 'account_addresslist', 'cgrants_grant')
"""


def large_database() -> str:
    """The URL of a copy of the template with a million addresses; kept between runs while the template is."""
    server = database.cluster()
    name = f"bench_flat_{database.fingerprint()}"
    with database.maintenance(server) as connection:
        if database.is_missing(server, connection, name):
            print(f"Filling a database up to {FILLERS:,} addresses (once) …", flush=True)
            for old in [row[0] for row in connection.execute("SELECT datname FROM pg_database ORDER BY datname")]:
                if old.startswith("bench_flat"):
                    connection.execute(f"DROP DATABASE {old} WITH (FORCE)")
            unfinished = "bench_flat_unfinished"
            connection.execute(f"CREATE DATABASE {unfinished} TEMPLATE {database.template_name()} STRATEGY FILE_COPY")
            database.call(server.url(unfinished), "migrate")
            with psycopg.connect(server.url(unfinished), autocommit=True) as filling:
                filling.execute("SET synchronous_commit = off")
                filling.execute("SET session_replication_role = replica")  # no foreign key is looked up row by row
                filling.execute("SET work_mem = '256MB'")
                filling.execute("SET maintenance_work_mem = '512MB'")
                indexes = filling.execute(PLAIN_INDEXES).fetchall()
                for index, _ in indexes:
                    filling.execute(f'DROP INDEX "{index}"')
                for statement in FILL:
                    filling.execute(statement, {"fillers": FILLERS, "each": ONE_FILLER_HAS})
                for _, definition in indexes:
                    filling.execute(definition)
                filling.execute("VACUUM (ANALYZE, FREEZE)")
            connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")
    database.call(server.url(name), "migrate")
    return server.url(name)


def in_addresses(url: str, load: Load, names: tuple[str, ...], *, rounds: int) -> dict[str, Any]:
    """p50 with ten thousand and with a million addresses in the tables, interleaved; and the large one's plans."""
    large = large_database()
    give = operations.giver(traffic.Requests({}))
    with Server(GUNICORN, url) as few, Server(GUNICORN, large) as many:
        bench = Bench(load, {"few": few, "many": many}, database.cluster(), give)
        cells = [
            (Cell(side, name, "steady", 1), Size(0.4, 2000), "")
            for side in ("few", "many")
            for name in (traffic.FLOOR, *names)
        ]
        for cell, _, _ in cells:
            for _ in range(2):
                bench.measure(cell, Size(10, 600))
        bench.rounds(cells, [], rounds)
    figures = bench.figures
    results: dict[str, Any] = {"addresses": {"few": addresses.ADDRESSES, "many": FILLERS}, "operations": {}}
    for name in (traffic.FLOOR, *names):
        few_cell, many_cell = Cell("few", name, "steady", 1), Cell("many", name, "steady", 1)
        results["operations"][name] = {
            "few_p50_ms": round(figures.median(few_cell, "p50"), 3),
            "many_p50_ms": round(figures.median(many_cell, "p50"), 3),
            "many_to_few": round(figures.ratio(many_cell, few_cell, "p50"), 3),
        }
    results["plans"] = plans(large)
    return results
