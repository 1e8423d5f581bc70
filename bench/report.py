"""What a run prints and writes: the table, the budgets, results.json."""

from __future__ import annotations

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.budgets import Budget, budgets
from bench.database import ROOT, cluster, setting

RESULTS = ROOT / "bench" / "results.json"


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cores": os.cpu_count(),
        "processor": model,
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "django": version("Django"),
        "ninja": version("django-ninja"),
        "psycopg": version("psycopg"),
        "huge_pages": setting(cluster(), "huge_pages_status"),
    }


def table(results: dict[str, Any]) -> str:
    """The operations beside the floor and the slow host."""
    head = (
        f"{'operation':24} {'state':7} {'c':>1} {'p50 ms':>8} {'p95':>8} {'p99':>8} {'rps':>7} {'stmts':>5} "
        f"{'cpu ms':>7} "
        f"{'db cpu':>7} {'p50÷floor':>9} {'p50÷host':>8} {'rps×host':>8}"
    )
    lines = [head, "-" * len(head)]
    for c, made in results["floor"].items():
        lines.append(_line("floor (SELECT 1)", "", c, made, {}))
    for name, states in results["operations"].items():
        for state, of_state in states.items():
            for c, made in of_state.items():
                lines.append(_line(name, state, c, made, results["ratios"][name][state][c]))
    lines.append("")
    for name, of_name in results["baseline"].items():
        for c, made in of_name.items():
            lines.append(_line(f"host: {name}", "steady", c, made, {}))
    return "\n".join(lines)


def _line(name: str, state: str, c: str, made: dict[str, float], ratios: dict[str, float]) -> str:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return (
        f"{name:24} {state:7} {c[1:]:>1} {made['p50_ms']:8.2f} {made['p95_ms']:8.2f} {made['p99_ms']:8.2f} "
        f"{made['rps']:7.0f} {number(made.get('statements'), 'd'):>5} "
        f"{made['cpu_ms']:7.2f} {made['database_cpu_ms']:7.2f} "
        f"{number(ratios.get('p50_to_floor'), '.2f'):>9} {number(ratios.get('p50_to_baseline'), '.3f'):>8} "
        f"{number(ratios.get('rps_to_baseline'), '.1f'):>8}"
    )


def judged(results: dict[str, Any]) -> list[Budget]:
    """The budgets, judged, and kept in the results."""
    found = list(budgets(results))
    results["budgets"] = [budget.as_json() for budget in found]
    return found


def write(results: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
