"""Two versions side by side: this checkout and another revision, each with its server and its copy of the database.

    python -m bench.versions REV [--operations cache_add_stamps:first,v2_score:steady] [--rounds 15]

The same requests go to both, twenty to one and the same twenty to the other, in turn. What disturbs the machine
disturbs both alike, where two runs of the bench tell nothing below a tenth. Where in memory a server lies remains: a
version beside itself says 0.96 to 1.05, so several runs are needed for less than that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import database, traffic
from bench.load import Job, Load
from bench.operations import read_spare
from bench.servers import GUNICORN, Server

OTHER = "bench_run_other"
TURN = 20  # requests of a turn
FLOOR = 40  # for the floor, before each turn
OPERATIONS = "v2_score:steady,v2_score:first,embed_score:first,cache_add_stamps:first,cache_get_score:steady"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.versions", description="Another revision beside this one")
    parser.add_argument("revision", help="what git checks out beside this, as HEAD~1")
    parser.add_argument("--operations", default=OPERATIONS, help="operation:state, by commas; first or steady")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each version")
    return parser.parse_args()


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A working tree of the revision, for a while."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "other"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, revision], cwd=database.ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=database.ROOT, check=True)


def compare(
    operation: str, state: str, servers: list[Server], load: Load, requests: traffic.Requests, rounds: int
) -> str:
    """A line of the table: both medians in ms and over the floor, and this version's over the other's."""

    def run(server: Server, texts: list[str], count: int = 0, concurrency: int = 1) -> list[float]:
        return load.run(Job(server.port, concurrency, texts, 60, count or len(texts))).milliseconds

    took: list[list[float]] = [[], []]
    floor: list[float] = []
    for server in servers:  # every thread has a connection then, which knows its statements
        run(server, requests.steady(operation, 24), 64, 8)
    for number in range(rounds):
        texts = requests.first(operation, TURN) if state == "first" else requests.steady(operation, TURN)
        for place in (0, 1) if number % 2 else (1, 0):
            floor += run(servers[place], [traffic.FLOOR_REQUEST], FLOOR)
            took[place] += run(servers[place], texts)
    this, other = (statistics.median(each) for each in took)
    of_floor = statistics.median(floor)
    return (
        f"{operation:22} {state:7} {this:8.3f} {other:8.3f} {this / of_floor:8.2f} {other / of_floor:8.2f} "
        f"{this / other:8.3f}"
    )


def main() -> None:
    given = arguments()
    wanted = [one.partition(":")[::2] for one in given.operations.split(",")]
    url = database.run_database()
    load = Load()
    with checked_out(given.revision) as tree:
        other = database.fresh_copy(OTHER, tree)
        with Server(GUNICORN, url) as here, Server(GUNICORN, other, tree) as there:
            requests = traffic.Requests(read_spare(url))
            print(f"{'':30} this ms other ms  × floor  × floor this/other ({given.revision})")
            for operation, state in wanted:
                print(compare(operation, state, [here, there], load, requests, given.rounds), flush=True)
    load.close()


if __name__ == "__main__":
    os.chdir(database.ROOT)
    main()
