"""PgBouncer in transaction mode in front of the benchmark's server; Debian's package, never needed by `make test`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench.database import RUN, cluster
from bench.servers import free_port
from bench.stamps import DATA

CONFIGURATION = """
[databases]
{name} = host={socket} port=5432 dbname={name} user=postgres pool_size=8
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 200
ignore_startup_parameters = extra_float_digits,options
logfile = {folder}/pgbouncer.log
"""


def program() -> str:
    found = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if not found:
        raise SystemExit("pgbouncer is not installed: make bench-pgbouncer installs Debian's package.")
    return found


@contextmanager
def running() -> Iterator[str]:
    """The URL of the run's database through a PgBouncer that ends with the block."""
    server = cluster()
    folder = DATA / "pgbouncer"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    written = folder / "pgbouncer.ini"
    written.write_text(CONFIGURATION.format(name=RUN, socket=server.ensure_running(), port=port, folder=folder))
    command, as_user = [program(), "-q", str(written)], {}
    if os.geteuid() == 0:  # it refuses to run as root, as PostgreSQL does
        owner = server.data.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        as_user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
    process = subprocess.Popen(command, cwd="/", stdout=sys.stderr, **as_user)
    url = f"postgres://postgres@127.0.0.1:{port}/{RUN}"
    try:
        for _ in range(100):
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)
