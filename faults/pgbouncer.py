"""``make pgbouncer``: this app behind Debian's PgBouncer in transaction mode, with statements prepared and without.

-k WORD     only recorded cases with the word in their name

Sessions go round: each transaction finds another one than the last did. Tried are the recorded cases, what doctor says,
a column that is widened while requests are served, and a flag that is changed. Where PgBouncer is 1.21 or later all of
it is done with ``max_prepared_statements`` too.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.pgbouncer import program
from bench.servers import free_port
from faults.failover import NAME, Cluster, of_its_own
from faults.servers import ROOT, Client, Told, conclude, environment, serving

CASES = ROOT / "tests" / "contract" / "golden-2026-07"
SESSIONS = 6
CONFIGURATION = """
[databases]
{name} = host={socket} port=5432 dbname={name} user=postgres pool_size={sessions} min_pool_size={sessions}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
server_round_robin = 1
max_client_conn = 200
logfile = {folder}/pgbouncer.log
{more}
"""


@contextmanager
def pooler(cluster: Cluster, more: str) -> Iterator[str]:
    """The URL of the database through a PgBouncer that ends with the block."""
    folder, port = Path(tempfile.mkdtemp(prefix="scorer-fast-pgbouncer-")), free_port()
    written = folder / "pgbouncer.ini"
    socket = cluster.ensure_running()
    written.write_text(
        CONFIGURATION.format(name=NAME, socket=socket, sessions=SESSIONS, port=port, folder=folder, more=more)
    )
    as_user = {}
    if os.geteuid() == 0:  # it refuses to run as root, as PostgreSQL does
        owner = cluster.data.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        as_user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    process = subprocess.Popen([program(), "-q", str(written)], cwd="/", **as_user)
    try:
        time.sleep(1)
        yield f"postgres://postgres@127.0.0.1:{port}/{NAME}"
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def run(*command: str, **variables: str) -> str:
    """What the command prints; it may fail."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=known, stdout=-1, stderr=-2, text=True).stdout


def cases(url: str, threshold: int, word: str) -> tuple[str, list[str]]:
    """The last line of the runner, and the names of cases that were answered otherwise."""
    said = run(
        "tests/contract/replay.py", str(CASES), *(("-k", word) if word else ()),
        DJANGO_SETTINGS_MODULE="faults.pooled", DATABASE_URL=url, PREPARE_THRESHOLD=str(threshold),
    )  # fmt: skip
    return said.strip().splitlines()[-1], re.findall(r"^DIFF (\S+)", said, flags=re.MULTILINE)


def doctor(url: str, threshold: int) -> list[str]:
    said = run(
        "manage.py", "scorer_fast", "doctor",
        **environment(url, PREPARE_THRESHOLD=str(threshold), DISABLE_SERVER_SIDE_CURSORS="true"),
    )  # fmt: skip
    return [line.strip() for line in said.splitlines() if "pooler" in line or "prepare_threshold" in line]


def served(cluster: Cluster, url: str, threshold: int) -> tuple[str, list[str]]:
    """A server whose columns are widened and whose flags are changed meanwhile."""
    from scorer_fast.cutover import flags
    from tests.factories.requests import good

    told, wrong = Told(10), []
    variables = {"PREPARE_THRESHOLD": str(threshold), "DISABLE_SERVER_SIDE_CURSORS": "true"}
    with serving("gunicorn", url, **variables) as (port, _, log):
        clients = [Client(port, told) for _ in range(4)]

        def ask(times: int) -> Counter[int]:
            return Counter(
                client.ask(name, good(name))[0]
                for _ in range(times)
                for client in clients
                for name in ("v2_score", "embed_validate_api_key", "gtc_stake")
            )

        before = ask(12)
        widened = Counter[int]()
        for column, size in (("rate_limit", 61), ("prefix", 9), ("name", 101), ("hashed_key", 151)):
            cluster.sql(f"ALTER TABLE account_accountapikey ALTER COLUMN {column} TYPE varchar({size})", name=NAME)
            widened += ask(4)
        flags.set_mode("gtc_stake", "legacy", reason="is it heard behind a pooler", by="make pgbouncer")
        ends = time.monotonic() + 5
        while clients[0].ask("flag", good("gtc_stake"))[0] and clients[0].path == "fast":
            if time.monotonic() > ends:
                wrong.append("a flag was not heard of within five seconds")
                break
        cluster.sql("DELETE FROM scorer_fast_operationflag", name=NAME)
        logged = log.read_text().count("prepared statements are turned off")
    wrong += [] if set(before) | set(widened) <= {200} or threshold else [f"{dict(before)}, {dict(widened)}"]
    return f"before {dict(before)}, while columns are widened {dict(widened)}, turned off in {logged} processes", [
        *wrong,
        *told.wrong,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faults.pgbouncer", description="This app behind PgBouncer")
    parser.add_argument("-k", default="", help="only cases with this word in their name")
    given = parser.parse_args()
    version = re.search(
        r"(\d+)\.(\d+)", subprocess.run([program(), "--version"], capture_output=True, text=True).stdout
    )
    assert version is not None
    carries = (int(version[1]), int(version[2])) >= (1, 21)
    kinds = {"": "without prepared statements"} | (
        {"max_prepared_statements = 200": "with max_prepared_statements"} if carries else {}
    )
    print(f"PgBouncer {version[0]}" + ("" if carries else ": max_prepared_statements is of 1.21, and not tried"))
    wrong: list[str] = []
    with of_its_own("pgbouncer") as cluster:
        from tests.factories import rows

        for more, name in kinds.items():
            with pooler(cluster, more) as url:
                for threshold in (0, 5):
                    about = f"{name}, PREPARE_THRESHOLD={threshold}"
                    print(f"{about}:", flush=True)
                    if more or not threshold:  # else it is the runner's own statements that fail
                        last, others = cases(url, threshold, given.k)
                        print(f"  recorded cases: {last} {' '.join(others)}", flush=True)
                        wrong += [f"{about}: {other}" for other in others]
                    heard = doctor(url, threshold)
                    print(*(f"  doctor: {line}" for line in heard), sep="\n", flush=True)
                    if not any("shares sessions" in line for line in heard):
                        wrong.append(f"{about}: doctor does not see the pooler")
                    if threshold and not more and not any("does not carry" in line for line in heard):
                        wrong.append(f"{about}: doctor does not say what to set")
                    empty(cluster)
                    rows.world_of_one()
                    seen, faults = served(cluster, url, threshold)
                    print(f"  served: {seen}", flush=True)
                    wrong += [f"{about}: {fault}" for fault in faults]
    conclude(wrong)


def empty(cluster: Cluster) -> None:
    """What the cases left, and the widened columns."""
    from scorer_fast.lookups import weights

    weights.forget()
    for column, size in (("rate_limit", 20), ("prefix", 8), ("name", 50), ("hashed_key", 150)):
        cluster.sql(
            "TRUNCATE account_account, auth_user, registry_passport, ceramic_cache_ceramiccache CASCADE", name=NAME
        )
        cluster.sql(f"ALTER TABLE account_accountapikey ALTER COLUMN {column} TYPE varchar({size})", name=NAME)


if __name__ == "__main__":
    main()
