"""What was promised, as ratios within one run, and whether it was kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench import traffic
from scorer_fast.lambda_handler.cold_start import IMPORTS_LIMIT

SCORES = traffic.SCORING
LOOKUPS = traffic.LOOKUPS
MEMORY_MB = 120
COLD_START_S = 1.2


@dataclass(frozen=True)
class Budget:
    """A promise, what was measured and what it may be; ``at_least`` turns the comparison round."""

    promise: str
    measured: float
    limit: float
    unit: str = "× floor"
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return (
            f"{'met   ' if self.met else 'MISSED'}  {self.promise}: "
            f"{self.measured:.2f} {self.unit} ({sign} {self.limit:g})"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "promise": self.promise,
            "measured": round(self.measured, 3),
            "limit": self.limit,
            "unit": self.unit,
            "at_least": self.at_least,
            "met": self.met,
        }


def budgets(results: dict[str, Any]) -> Iterator[Budget]:
    """The promises that ``results`` (the shape of results.json) has figures for."""
    operations, ratios = results["operations"], results["ratios"]
    for name in SCORES:
        if "steady" not in operations.get(name, {}):
            continue
        steady = ratios[name]["steady"]
        yield Budget(f"{name}, steady: p50", steady["c1"]["p50_to_floor"], 4.5)
        yield Budget(f"{name}, steady: p95", steady["c1"]["p95_to_floor"], 8)
        if "rps_to_baseline" in steady["c8"]:
            yield Budget(
                f"{name}, steady: requests a second at concurrency 8",
                steady["c8"]["rps_to_baseline"],
                20,
                "× the slow host",
                at_least=True,
            )
    for name in LOOKUPS:
        if name in operations:
            yield Budget(f"{name}, steady: p50", ratios[name]["steady"]["c1"]["p50_to_floor"], 2)
    didkit = results.get("didkit_ms", {})
    floor = results["floor"]["c1"]["p50_ms"]
    for name in SCORES:
        if didkit and "first" in operations.get(name, {}):
            own = operations[name]["first"]["c1"]["p50_ms"] - didkit["batch_of_20"]
            yield Budget(f"{name}, first: p50 less didkit's own time for 20 signatures", own / floor, 12)
    for name in traffic.POSTING:
        for state in ("first", "steady"):
            if state in operations.get(name, {}):
                kind = "unseen" if state == "first" else "posted before"
                yield Budget(f"{name}, one stamp ({kind}): p50", ratios[name][state]["c1"]["p50_to_floor"], 7)
    memory = results.get("memory_mb_per_worker")
    if memory is not None:
        yield Budget("resident memory of a worker", memory, MEMORY_MB, "MB")
    growth = results.get("memory", {}).get("growth_mb_last_half")
    if growth is not None:
        yield Budget("its growth over the second half of the requests", growth, 3, "MB")
    cold = results.get("cold_start_s")
    if cold is not None:
        yield Budget("cold start", cold, COLD_START_S, "s")
    for name, found in results.get("functions", {}).items():
        for cache in ("warm", "bare"):
            what = f"Lambda, {name}: imports beside the host's set-up, {cache} file cache"
            yield Budget(what, found[cache]["imports"], IMPORTS_LIMIT, "s")
