"""``make failover``: two clusters, one a streaming replica, promoted under load; random kills first.

--failovers N    in three ways in turn; default 6
--kills N        sessions that are ended at random moments before; every tenth time a worker of gunicorn; default 20
--server NAME    gunicorn, uvicorn or both (default)

Clients post stamps, score and look up over a relay that stands for the database's name: it leads to the other cluster
after a failover, and leaves connections where they are. What must hold: every answer is 2xx or 503 with Retry-After,
none later than its limit and a second; every acknowledged post is in the last primary; no session stays on a reader;
a score after a promotion is the one of the stamps as they are then.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from faults.servers import Client, Told, kill_a_worker, serving, set_up
from settings.embedded_postgres import EmbeddedPostgres
from tests.factories.relay import Relay

NAME = "faults"
LIMIT = 10.0  # seconds a request may take
CLIENTS = 8
PACE = 0.15  # seconds between two turns of a client: what is looked for are faults, not throughput
KINDS = ("crash", "reader", "standby")
OPTIONS = {"shared_buffers": "64MB", "wal_keep_size": "256MB", "fsync": "off", "hot_standby": "on"}
SESSIONS = "FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
BUSY = f"SELECT pid {SESSIONS} AND state <> 'idle' ORDER BY random() LIMIT 1"


class Cluster(EmbeddedPostgres):
    """One of the two."""

    def sql(self, statement: str, *given: Any, name: str = "postgres") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(name), autocommit=True) as raw:
            cursor = raw.execute(statement, given or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement: str, *given: Any, name: str = "postgres") -> Any:
        return self.sql(statement, *given, name=name)[0][0]

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-w", *arguments)

    def follow(self, primary: Cluster) -> None:
        """Become a replica of ``primary``, from nothing."""
        with suppress(Exception):
            self.control("-m", "immediate", "stop")
        shutil.rmtree(self.data, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        self._prepare_folders()
        socket = str(primary.ensure_running())
        self.data.mkdir(mode=0o700)
        if owner := self._server_user():
            shutil.chown(self.data, owner.pw_uid, owner.pw_gid)
        self._run(
            "pg_basebackup", "-h", socket, "-U", "postgres", "-D", str(self.data), "-R", "-c", "fast", "-X", "stream"
        )
        self.ensure_running()


class NotSeen(Exception):
    """What was waited for did not come."""


def wait(what: str, holds: Callable[[], bool], seconds: float = 20) -> float:
    """Seconds until it held."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise NotSeen(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - started


class Pair:
    """The primary, its replica, and the relay that leads clients to what they take for the primary."""

    def __init__(self, folder: Path) -> None:
        self.primary, self.replica = (Cluster(folder / name, options=OPTIONS) for name in ("one", "two"))
        self.primary.ensure_running()
        self.primary.sql(f"CREATE DATABASE {NAME}")
        self.relay = Relay(self.primary.socket_folder)
        self.url = f"postgres://postgres@127.0.0.1:{self.relay.port}/{NAME}"

    def join(self) -> None:
        """A replica, in step: from now on a COMMIT waits for it."""
        self.replica.follow(self.primary)
        self.primary.set(synchronous_standby_names="*")
        in_step = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait("the replica is in step", lambda: self.primary.value(in_step) == 1)

    def end(self) -> None:
        self.relay.end()
        for cluster in (self.primary, self.replica):
            cluster.reset()

    def fail_over(self, kind: str) -> str:
        """Promote the replica; what was the primary becomes what ``kind`` says. A line of what was seen."""
        old, new = self.primary, self.replica
        if kind == "crash":
            old.control("-m", "immediate", "stop")
        elif kind == "reader":
            old.set(default_transaction_read_only="on")
            writing = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
            wait("those who write have ended", lambda: old.value(writing) == 0)
            last = old.value("SELECT pg_current_wal_lsn()")
            wait("all is there", lambda: new.value("SELECT pg_last_wal_replay_lsn() >= %s", last))
        else:
            old.control("-m", "fast", "stop")
        new.control("promote")
        new.set(synchronous_standby_names="")
        seen = ""
        if kind == "standby":  # the name still leads to it when it is back, and only reads
            old.follow(new)
            time.sleep(2)
            seen = f"{old.value(f'SELECT count(*) {SESSIONS}', NAME)} sessions on the standby; "
        self.relay.target = new.socket_folder
        self.primary, self.replica = new, old
        if kind != "crash":
            seconds = wait(
                "no session is on the reader", lambda: old.value(f"SELECT count(*) {SESSIONS}", NAME) == 0, 10
            )
            seen += f"the last session left it after {seconds:.1f} s"
        return seen


class Load:
    """Clients that post, score and look up until they are told to end; what was acknowledged."""

    def __init__(self, port: int, told: Told) -> None:
        from tests.host import world

        self.port, self.told = port, told
        self.owners = [world.address(0x5000 + number) for number in range(CLIENTS // 2)]
        self.acknowledged: list[tuple[str, str]] = []
        self.answered = threading.Event()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def recovered(self) -> float:
        """Seconds until somebody's post is acknowledged again."""
        before = len(self.acknowledged)
        return wait("a post is acknowledged", lambda: len(self.acknowledged) > before + 2, 30)

    def _post(self, number: int) -> None:
        from tests.factories.requests import entry, good

        client = Client(self.port, self.told)
        others = itertools.cycle(("internal_score", "gtc_stake", "cache_get_score", "v2_score", "check_bans"))
        for turn in itertools.count():
            if self._ended.is_set():
                return
            owner, mark = self.owners[(number + turn) % len(self.owners)], f"v0.0.0:{id(self)}-{number}-{turn}"
            post = good("cache_add_stamps", owner).with_(body=[entry("Google", owner, nullifiers=[mark])])
            if client.ask("post", post)[0] == 201:
                self.acknowledged.append((owner, mark))
            other = next(others)
            client.ask(other, good(other, owner))
            time.sleep(PACE)


class Kept:
    """An address whose stamp is edited in place, behind the app's back: its score is that of the stamp as it is."""

    VALUES = {"Google": "1.50000", "Ens": "12.50000"}

    def __init__(self, port: int, told: Told) -> None:
        from tests.factories import rows
        from tests.host import world

        self.owner = world.address(0x6000)
        self.client = Client(port, told)
        self.turn = itertools.cycle(("Ens", "Google"))
        self.now = "Google"
        with suppress(Exception):
            rows.stamps(self.owner, self.now)

    def score(self) -> str:
        from tests.factories.requests import good

        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            status, body = self.client.ask("kept", good("internal_score", self.owner))
            if status == 200:
                return str(body["score"])
            time.sleep(0.05)
        raise NotSeen("the address of the kept reading is not scored")

    def edit(self, primary: Cluster) -> None:
        import json

        from api.demo_issuer import sign_credential

        self.now = next(self.turn)
        primary.sql(
            "UPDATE ceramic_cache_ceramiccache SET provider = %s, stamp = %s WHERE address = %s AND deleted_at IS NULL",
            self.now, json.dumps(sign_credential(self.owner, self.now)), self.owner, name=NAME,
        )  # fmt: skip

    def check(self, when: str, told: Told) -> None:
        if (found := self.score()) != self.VALUES[self.now]:
            told.wrong.append(f"score {found} {when}, {self.VALUES[self.now]} expected")


@contextmanager
def watched(pair: Pair, load: Load, told: Told) -> Iterator[None]:
    """At the end every acknowledged post has to be in the primary."""
    yield
    stored = set(
        pair.primary.sql(
            "SELECT address, stamp #>> '{credentialSubject,nullifiers,0}' FROM ceramic_cache_ceramiccache", name=NAME
        )
    )
    lost = set(load.acknowledged) - stored
    told.wrong += [f"acknowledged and lost: {post}" for post in lost]
    print(f"  {len(load.acknowledged)} posts acknowledged, {len(lost)} lost", flush=True)


def kill(pair: Pair, times: int, server: Any, draw: random.Random) -> tuple[int, int]:
    sessions = workers = 0
    for number in range(1, times + 1):
        time.sleep(draw.uniform(0.02, 0.2))
        if number % 10 == 0:
            workers += kill_a_worker(server, draw)
            continue
        for _ in range(50):
            busy = pair.primary.sql(BUSY, NAME)
            if busy:
                sessions += pair.primary.value("SELECT pg_terminate_backend(%s)", busy[0][0])
                break
            time.sleep(0.01)
    return sessions, workers


def one_failover(pair: Pair, load: Load, kept: Kept, kind: str, told: Told) -> str:
    kept.check("before", told)
    kept.edit(pair.primary)
    seen = pair.fail_over(kind)
    seconds = load.recovered()
    kept.check(f"after {kind}", told)
    kept.edit(pair.primary)
    kept.check("after an edit on the new primary", told)
    if kind == "standby":
        pair.primary.set(synchronous_standby_names="*")
    else:
        pair.join()
    return f"posts go on {seconds:.1f} s after it; {seen}"


def attack(name: str, pair: Pair, failovers: int, kills: int) -> list[str]:
    """Everything against one server; what was wrong."""
    told = Told(LIMIT)
    draw = random.Random(17)
    print(f"{name}:", flush=True)
    with serving(name, pair.url, REQUEST_DEADLINE_SECONDS=str(int(LIMIT))) as (port, server, log):
        with Load(port, told) as warming:  # a process loads what it needs with its first requests
            warming.recovered()
            time.sleep(2)
        told = Told(LIMIT)
        kept = Kept(port, told)
        load = Load(port, told)
        with watched(pair, load, told), load:
            load.recovered()
            sessions = workers = 0
            if kills:
                sessions, workers = kill(pair, kills, server, draw)
                print(f"  killed {sessions} sessions, {workers} workers: {told.line()}", flush=True)
                load.recovered()
            for number in range(failovers):
                kind = KINDS[number % len(KINDS)]
                try:
                    seen = one_failover(pair, load, kept, kind, told)
                except NotSeen as error:
                    told.wrong.append(f"{kind}: {error}")
                    break
                print(f"  failover {number + 1}, {kind}: {seen}", flush=True)
        print(f"  {told.line()}", flush=True)
        if told.dropped > workers * CLIENTS:
            told.wrong.append(f"{told.dropped} requests without an answer")
        if told.wrong:
            print(f"  the server's log: {log}")
    return [f"{name}: {wrong}" for wrong in told.wrong]


@contextmanager
def of_its_own(program: str) -> Iterator[Cluster]:
    """A cluster with a migrated database, which is this process's in Django too; it goes with the block."""
    folder = Path(tempfile.mkdtemp(prefix=f"scorer-fast-{program}-"))
    cluster = Cluster(folder / "pg", options={"fsync": "off"})
    try:
        cluster.ensure_running()
        cluster.sql(f"CREATE DATABASE {NAME}")
        set_up(cluster.url(NAME))
        yield cluster
    finally:
        from django.db import connections

        connections.close_all()
        cluster.reset()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m faults.failover", description="Failovers and kills under load")
    parser.add_argument("--failovers", type=int, default=6)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--server", default="gunicorn,uvicorn")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scorer-fast-failover-"))
    pair = Pair(folder)
    wrong = []
    try:
        set_up(pair.url)
        from tests.factories import rows

        rows.world_of_one()
        from django.db import connections

        pair.join()
        for name in given.server.split(","):
            wrong += attack(name, pair, given.failovers, given.kills)
            connections.close_all()
    finally:
        pair.end()
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(wrong[:40]) or "Nothing acknowledged was lost; nothing else was wrong.")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
