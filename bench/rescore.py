"""Bulk rescoring beside scoring one by one, each in this process.

    python -m bench.rescore [ADDRESSES]     # 1000 unless told otherwise; 20 signed stamps each

A database of its own on the embedded, durable PostgreSQL, made anew and removed. Both ways run twice over the same
addresses: once with nothing kept of earlier readings, once with it. Prints milliseconds per address: wall time, CPU
time of this process (never more than a core's worth), CPU time of PostgreSQL.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import psycopg

from bench.server_environment import environment
from bench.servers import postgres_cpu_seconds
from settings.embedded_postgres import embedded

DATABASE = "bench_rescore"
STAMPS = 20


class Cost(NamedTuple):
    """Milliseconds."""

    wall: float
    python: float
    postgres: float

    @property
    def cpu(self) -> float:
        return self.python + self.postgres


def prepare() -> str:
    """An empty database; its URL, for which the settings are loaded."""
    server = embedded()
    with psycopg.connect(server.url("postgres"), autocommit=True) as maintenance:
        maintenance.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        maintenance.execute(f"CREATE DATABASE {DATABASE}")
    os.environ.update(environment(server.url(DATABASE), LOG_LEVEL="WARNING"))
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    return server.url("postgres")


def fill(addresses: int) -> list[str]:
    """A community with weights, and its addresses with their signed stamps."""
    from api.demo_issuer import Claim
    from bench.addresses import address, provider
    from tests.host import world

    providers = [provider(number) for number in range(STAMPS)]
    world.make_community(world.make_account(), 1, dict.fromkeys(providers, "1.5"))
    owners = [address(number) for number in range(addresses)]
    for start in range(0, addresses, 100):
        world.give(Claim(owner, name) for owner in owners[start : start + 100] for name in providers)
    return owners


def cost(act: Callable[[], object], addresses: int) -> Cost:
    """What ``act`` takes per address."""
    data = embedded().data

    def postgres() -> float:
        time.sleep(0.5)  # a connection that was closed is counted once its process is gone
        return postgres_cpu_seconds(data)

    in_postgres = postgres()
    before = time.perf_counter(), time.process_time()
    act()
    after = time.perf_counter(), time.process_time()
    took = [one - other for one, other in zip(after, before, strict=True)]
    return Cost(*(seconds * 1000 / addresses for seconds in (*took, postgres() - in_postgres)))


def measure(addresses: int) -> None:
    from django.db import connection

    from api.scorer_weighted.models import BinaryWeightedScorer
    from scorer_fast.scoring import rescore
    from tests.factories.scoring import score

    owners = fill(addresses)

    def one_by_one() -> None:
        for owner in owners:
            score(owner)

    def in_bulk(*, only_changed: bool = False) -> None:
        ended = rescore.work(rescore.begin(1, only_changed=only_changed), lambda step: None, rescore.THREADS)
        if ended.done != addresses or ended.failed:
            raise SystemExit(f"Rescored {ended}")

    def forget_readings() -> None:
        from scorer_fast.models import KeptReading

        KeptReading.objects.all().delete()

    def change_weights(weight: str) -> None:
        BinaryWeightedScorer.objects.update(weights={f"Provider{number:02}": weight for number in range(STAMPS)})

    one_by_one()  # verifies every signature
    one_by_one()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    found: dict[str, Cost] = {}
    for number, (kept, forget) in enumerate((("nothing kept", forget_readings), ("readings kept", lambda: None))):
        change_weights(f"2.{number}")
        forget()
        found[f"one by one, {kept}"] = cost(one_by_one, addresses)
        change_weights(f"3.{number}")
        forget()
        found[f"in bulk, {kept}"] = cost(in_bulk, addresses)
    found["in bulk, only changed (none)"] = cost(lambda: in_bulk(only_changed=True), addresses)
    report(found)


def report(found: dict[str, Cost]) -> None:
    print(f"{'milliseconds per address':<30} {'wall':>8} {'python':>8} {'postgres':>9} {'cpu':>8}   times faster")
    for name, one in found.items():
        base = found.get(name.replace("in bulk", "one by one"), found["one by one, readings kept"])
        ratio = "" if base is one else f"{base.wall / one.wall:.1f} (cpu {base.cpu / one.cpu:.1f})"
        print(f"{name:<30} {one.wall:8.3f} {one.python:8.3f} {one.postgres:9.3f} {one.cpu:8.3f}   {ratio}")
    load = os.getloadavg()[0]
    if load > 2.5:  # two of it are this program and its PostgreSQL
        print(f"The machine was busy with other things (load {load:.1f}): compare CPU times, not wall times.")


def main() -> None:
    maintenance = prepare()
    try:
        measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
    finally:
        from django.db import connections

        connections.close_all()
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    sys.stdout.flush()
    os._exit(0)  # didkit's threads outlive the interpreter


if __name__ == "__main__":
    main()
