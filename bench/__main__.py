"""``python -m bench``: measures, prints a table and the budgets, writes bench/results.json and docs/benchmarks.md.

--quick                 a short run: fewer rounds, less of everything
--only PART,…           operations, servers, stamps, addresses, memory, cold, functions, connections, overload
--operations NAME,…     only these operations
--pgbouncer             starts Debian's PgBouncer for the connections (make bench-pgbouncer)
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from typing import Any

from bench import (
    connections,
    database,
    document,
    endurance,
    functions,
    growth,
    operations,
    overload,
    pgbouncer,
    profile,
    report,
    servers_compared,
    traffic,
)
from bench.load import Load

PARTS = (
    "operations",
    "profile",
    "stamps",
    "servers",
    "connections",
    "cold",
    "functions",
    "overload",
    "memory",
    "addresses",
)
FLAT = ("v2_score", "cache_get_score", "check_bans", "allow_list", "gtc_stake", "contributor_statistics")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the operations; docs/benchmarks.md")
    parser.add_argument("--quick", action="store_true", help="a short run")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, by commas: {', '.join(PARTS)}")
    parser.add_argument("--operations", default=",".join(traffic.OPERATIONS), help="operations, by commas")
    parser.add_argument("--pgbouncer", action="store_true", help="measure PgBouncer too; it must be installed")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    parts, names = given.only.split(","), tuple(given.operations.split(","))
    rounds = 3 if given.quick else 5
    began = time.monotonic()
    url = database.run_database()
    results: dict[str, Any] = {"machine": report.machine(), "rounds": rounds}
    load = Load()
    if "operations" in parts:
        results |= operations.measure(url, load, names, rounds=rounds)
        print(report.table(results), flush=True)
    with ExitStack() as stack:
        for part, measure in {
            "profile": lambda: profile.measure(url),
            "stamps": lambda: growth.in_stamps(url, load, rounds=rounds),
            "servers": lambda: servers_compared.measure(url, load, rounds=rounds),
            "connections": lambda: connections.measure(
                url, load, rounds=rounds, pgbouncer=stack.enter_context(pgbouncer.running()) if given.pgbouncer else ""
            ),
            "cold": lambda: endurance.cold_start(url, rounds=3 if given.quick else 7),
            "functions": lambda: functions.measure(url, rounds=3 if given.quick else 7),
            "overload": lambda: overload.measure(url, load, quick=given.quick),
            "memory": lambda: endurance.memory(url, load, wanted=10_000 if given.quick else endurance.REQUESTS),
            "addresses": lambda: growth.in_addresses(url, load, FLAT, rounds=rounds),
        }.items():
            if part in parts:
                results[part] = measure()
                print(
                    f"\n{part}: {json.dumps({k: v for k, v in results[part].items() if k != 'plans'}, indent=1)}",
                    flush=True,
                )
    load.close()
    if "memory" in results:
        results["memory_mb_per_worker"] = results["memory"]["resident_mb"][-1]
    if "cold" in results:
        results["cold_start_s"] = results["cold"]["seconds"]
    results["took_s"] = round(time.monotonic() - began)
    if "operations" in parts:
        print("\nBudgets")
        for budget in report.judged(results):
            print(budget.line())
        if names == traffic.OPERATIONS:
            report.write(results)
            document.write(results)
            print(f"\nWritten: bench/results.json, docs/benchmarks.md ({results['took_s']} s). Draw them: make charts")


if __name__ == "__main__":
    main()
