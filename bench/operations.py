"""Every operation beside the floor and the slow host: the main part of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from bench import database, statements, traffic
from bench.didkit_time import DidkitTime
from bench.load import Load
from bench.measure import Bench, Cell, Figures, Size
from bench.servers import GUNICORN, HOST, Server

CONCURRENCIES = (1, 8)
FAST, SLOW = "fast", "host"
MILLISECONDS = ("p50", "p95", "p99")
SECONDS = {1: 0.4, 8: 0.6}  # of one steady cell in one round
FIRST_COUNT = 40  # first requests of one cell in one round: each uses up an address
HOST_COUNT = {1: 6, 8: 16}
WARM_UP = {
    FAST: 64,
    SLOW: 16,
}  # of a cell, to a new server: psycopg prepares a statement at its sixth execution
DELETES = {1: 60, 8: 90}  # requests of a round, where each uses up a stamp
HOST_DELETES = {1: 6, 8: 12}


def read_spare(url: str) -> dict[str, str]:
    """The stamps to be posted, by address."""
    with psycopg.connect(url) as connection:
        return dict(connection.execute("SELECT address, stamp FROM bench_spare").fetchall())


def giver(requests: traffic.Requests) -> Any:
    """Which requests a cell sends."""

    def give(cell: Cell, wanted: int) -> list[str]:
        if cell.operation == traffic.FLOOR:
            return [traffic.FLOOR_REQUEST]
        if cell.state == "first":
            return requests.first(cell.operation, wanted)
        return requests.steady(cell.operation, wanted, traffic.SLOW if cell.side == SLOW else traffic.FAST)

    return give


def plan(operations: Sequence[str], *, baseline: bool) -> list[tuple[Cell, Size, str]]:
    """The cells of one round."""
    cells: list[tuple[Cell, Size, str]] = []
    for name in operations:
        for concurrency in CONCURRENCIES:
            deletes = name == "cache_delete_stamps"
            steady = Size(SECONDS[concurrency], DELETES[concurrency] if deletes else 2000)
            cells.append((Cell(FAST, name, "steady", concurrency), steady, ""))
            before = traffic.FORGET_WEIGHTS if name == "cache_weights" else ""
            first = Size(20, FIRST_COUNT)
            cells.append((Cell(FAST, name, "first", concurrency), first, before))
            if baseline:
                slow = Size(5, HOST_DELETES[concurrency] if deletes else HOST_COUNT[concurrency])
                if name in traffic.LOOKUPS:
                    slow = Size(0.25, 2000)
                cells.append((Cell(SLOW, name, "steady", concurrency), slow, ""))
    return cells


def warm_up(bench: Bench, side: str, cells: Sequence[tuple[Cell, Size, str]]) -> None:
    """Every thread of the side's server has a connection then, which knows its statements, and every cache is warm."""
    for cell, size, before in cells:
        if (cell.side, cell.state, cell.concurrency) == (side, "steady", 8):
            bench.measure(cell, Size(0.5, min(size.count, WARM_UP[side])), before=before)


def measure(url: str, load: Load, operations: Sequence[str], *, rounds: int, baseline: bool = True) -> dict[str, Any]:
    """The parts of results.json that are about operations.

    Each round has a server of its own: where in memory a process happens to lie makes a post take 5.1 to 7.6 times the
    floor, for as long as the process lives. The slow host's lives on, as it does in production: its first minute, with
    half as many requests again as ever after, is not what it is about.
    """
    requests = traffic.Requests(read_spare(url))
    give = giver(requests)
    floors = [(Cell(FAST, traffic.FLOOR, "steady", c), Size(SECONDS[c] / 2, 5000)) for c in CONCURRENCIES]
    cells = plan(operations, baseline=baseline)
    bench, didkit = Bench(load, {}, database.cluster(), give), DidkitTime()
    with Server(HOST, url) as slow:
        bench.servers[SLOW] = slow
        warm_up(bench, SLOW, cells)
        for number in range(rounds):
            with Server(GUNICORN, url) as fast:
                bench.servers[FAST] = fast
                warm_up(bench, FAST, cells)
                bench.round(number, cells, floors, didkit.turn)
    counted = statements.count(
        url,
        {
            f"{cell.operation} {cell.state}": give(cell, 3)
            for cell, _, _ in cells
            if cell.side == FAST and cell.concurrency == 1
        },
    )
    return collect(bench.figures, operations, counted) | {"didkit_ms": didkit.medians()}


def collect(figures: Figures, operations: Sequence[str], counted: dict[str, Any]) -> dict[str, Any]:
    """The figures in the shape of results.json."""
    results: dict[str, Any] = {"floor": {}, "baseline": {}, "operations": {}, "ratios": {}}
    for c in CONCURRENCIES:
        results["floor"][f"c{c}"] = shown(figures, Cell(FAST, traffic.FLOOR, "steady", c))
    for name in operations:
        of_operation: dict[str, Any] = results["operations"].setdefault(name, {})
        ratios: dict[str, Any] = results["ratios"].setdefault(name, {})
        for state in ("steady", "first"):
            for c in CONCURRENCIES:
                cell = Cell(FAST, name, state, c)
                if cell not in figures.samples:
                    continue
                made = shown(figures, cell) | counted[f"{name} {state}"]
                of_operation.setdefault(state, {})[f"c{c}"] = made
                ratios.setdefault(state, {})[f"c{c}"] = compared(figures, cell)
        for c in CONCURRENCIES:
            slow = Cell(SLOW, name, "steady", c)
            if slow in figures.samples:
                results["baseline"].setdefault(name, {})[f"c{c}"] = shown(figures, slow)
    return results


def shown(figures: Figures, cell: Cell) -> dict[str, float]:
    """A cell's medians over the rounds."""
    named = {f"{name}_ms": round(figures.median(cell, name), 3) for name in MILLISECONDS}
    return named | {
        "rps": round(figures.median(cell, "rps"), 1),
        "cpu_ms": round(figures.median(cell, "cpu"), 3),
        "database_cpu_ms": round(figures.median(cell, "database_cpu"), 3),
        "load_cpu_ms": round(figures.median(cell, "load_cpu"), 3),
    }


def compared(figures: Figures, cell: Cell) -> dict[str, float]:
    """A cell over the floor and over the slow host, each within its round."""
    floor = Cell(cell.side, traffic.FLOOR, "steady", cell.concurrency)
    slow = Cell(SLOW, cell.operation, "steady", cell.concurrency)
    ratios = {
        "p50_to_floor": figures.ratio(cell, floor, "p50"),
        "p95_to_floor": figures.ratio(cell, floor, "p95"),
        "rps_to_floor": figures.ratio(cell, floor, "rps"),
    }
    if slow in figures.samples:
        ratios["p50_to_baseline"] = figures.ratio(cell, slow, "p50")
        ratios["rps_to_baseline"] = figures.ratio(cell, slow, "rps")
    return {name: round(value, 3) for name, value in ratios.items()}
