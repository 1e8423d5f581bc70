"""The same requests under gunicorn, granian and an ASGI server, and inside the host by the middleware."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from bench import database, operations, traffic
from bench.load import Load
from bench.measure import Bench, Cell, Size
from bench.servers import GRANIAN, GUNICORN, INSTALLED, UVICORN, Server

KINDS = (GUNICORN, GRANIAN, UVICORN, INSTALLED)
ASKED = (traffic.FLOOR, "v2_score", "embed_score", "allow_list")


def measure(url: str, load: Load, *, rounds: int) -> dict[str, Any]:
    """p50 and requests a second of each server, and as ratios to gunicorn in the same round."""
    give = operations.giver(traffic.Requests({}))
    with ExitStack() as stack:
        servers = {kind.name: stack.enter_context(Server(kind, url)) for kind in KINDS}
        bench = Bench(load, servers, database.cluster(), give)
        cells = [
            (Cell(kind.name, name, "steady", c), Size(operations.SECONDS[c], 2000), "")
            for kind in KINDS
            for name in ASKED
            for c in operations.CONCURRENCIES
        ]
        for cell, size, _ in cells:
            if cell.concurrency == 8:
                bench.measure(cell, Size(0.5, size.count))
        bench.rounds(cells, [], rounds)
        memory = {kind.name: round(servers[kind.name].resident_mb(), 1) for kind in KINDS}
    figures = bench.figures
    results: dict[str, Any] = {}
    for kind in KINDS:
        of_kind: dict[str, Any] = results.setdefault(kind.name, {"memory_mb": memory[kind.name]})
        for name in ASKED:
            for c in operations.CONCURRENCIES:
                cell, gunicorn = Cell(kind.name, name, "steady", c), Cell(GUNICORN.name, name, "steady", c)
                of_kind.setdefault(name, {})[f"c{c}"] = operations.shown(figures, cell) | {
                    "p50_to_gunicorn": round(figures.ratio(cell, gunicorn, "p50"), 3),
                    "rps_to_gunicorn": round(figures.ratio(cell, gunicorn, "rps"), 3),
                }
    return results
