"""Rounds of short, interleaved measurements, so that what disturbs the machine disturbs all of them alike.

A ratio is taken within a round, against the floor (or the baseline) of the same round; what is reported is the
median over the rounds.
"""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.load import Job, Load, Result
from bench.servers import Server, postgres_cpu_seconds
from bench.traffic import FLOOR_REQUEST


@dataclass(frozen=True)
class Cell:
    """One thing that is measured: an operation of a server, in a state, at a concurrency."""

    side: str
    operation: str
    state: str
    concurrency: int


@dataclass(frozen=True)
class Size:
    """How much of a cell one round measures."""

    seconds: float
    count: int


@dataclass
class Sample:
    """A cell in a turn or a round, in ms; CPU in ms a request, of the server, the database and the generator."""

    p50: float
    p95: float
    p99: float
    rps: float
    cpu: float
    database_cpu: float
    load_cpu: float
    requests: int


@dataclass
class Figures:
    """Samples by cell, one a round."""

    samples: dict[Cell, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def median(self, cell: Cell, figure: str) -> float:
        return statistics.median(getattr(sample, figure) for sample in self.samples[cell])

    def ratio(self, cell: Cell, other: Cell, figure: str) -> float:
        """The median over the rounds of ``cell`` over ``other``, each within its round."""
        pairs = zip(self.samples[cell], self.samples[other], strict=False)
        return statistics.median(getattr(one, figure) / getattr(two, figure) for one, two in pairs)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the sorted values do not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1))]


def sample(result: Result, cpu: float, database_cpu: float, concurrency: int) -> Sample:
    ordered = sorted(result.milliseconds)
    wanted = len(ordered)
    return Sample(
        p50=quantile(ordered, 0.50),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        rps=wanted / result.seconds,
        cpu=cpu / wanted * 1000,
        database_cpu=max(database_cpu, 0.0) / wanted * 1000,  # a process that ended may be counted late
        load_cpu=result.cpu_seconds / wanted * 1000,
        requests=wanted,
    )


WARM, WARM_SECONDS = 20, 1.0  # floor requests a connection before each turn, and at most how long
WARM_STEADY = 8  # steady requests a connection before a turn of first ones, which is short
Give = Callable[[Cell, int], list[str]]


class Bench:
    """Measures cells of running servers; ``give`` says which requests a cell sends."""

    def __init__(self, load: Load, servers: dict[str, Server], database: Any, give: Give) -> None:
        self.load, self.servers, self.database, self.give = load, servers, database, give
        self.figures = Figures()

    def measure(self, cell: Cell, size: Size, *, before: str = "") -> Sample:
        """One turn of a cell. No cell pays for what ran before it: a few requests for the floor come first.

        Ahead of first requests a few steady ones of the operation, too: each of those is measured once it is warm, and
        so few could not warm up by themselves.
        """
        server = self.servers[cell.side]
        self.load.run(Job(server.port, cell.concurrency, [FLOOR_REQUEST], WARM_SECONDS, WARM * cell.concurrency))
        if cell.state == "first":
            count = WARM_STEADY * cell.concurrency
            steady = self.give(replace(cell, state="steady"), count)
            self.load.run(Job(server.port, cell.concurrency, steady, WARM_SECONDS, count))
        requests = self.give(cell, size.count)
        job = Job(server.port, cell.concurrency, requests, size.seconds, size.count, before)
        cpu, database_cpu = server.cpu_seconds(), postgres_cpu_seconds(self.database.data)
        result = self.load.run(job)
        cpu, database_cpu = server.cpu_seconds() - cpu, postgres_cpu_seconds(self.database.data) - database_cpu
        bad = {status: n for status, n in result.statuses.items() if not status.startswith("2")}
        if bad:
            raise SystemExit(f"{cell} was answered with {bad}; see {server.log}")
        return sample(result, cpu, database_cpu, cell.concurrency)

    def rounds(
        self,
        plan: Sequence[tuple[Cell, Size, str]],
        floors: Sequence[tuple[Cell, Size]],
        rounds: int,
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        """Measure every cell in each of some rounds: :meth:`round`."""
        for number in range(rounds):
            self.round(number, plan, floors, beside)

    def round(
        self,
        number: int,
        plan: Sequence[tuple[Cell, Size, str]],
        floors: Sequence[tuple[Cell, Size]],
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        """Measure every cell, in an order of the round's number, and the floor before, between and after.

        A cell of concurrency 1 has its share of a round in several turns: what else the machine does often lasts
        longer than one. What a round says of a cell, as of the floor, is the median of its turns; ``beside`` is called
        at each turn of the floor.
        """
        order = [turn for cell, size, before in plan for turn in _turns(cell, size, before)]
        random.Random(number).shuffle(order)
        made: dict[Cell, list[Sample]] = defaultdict(list)
        for place, (cell, size, before) in enumerate(order):
            if place % FLOOR_EVERY == 0:
                self._floor(floors, made)
                beside()
            made[cell].append(self.measure(cell, size, before=before))
        self._floor(floors, made)
        for cell, samples in made.items():
            self.figures.samples[cell].append(_together(samples))

    def _floor(self, floors: Sequence[tuple[Cell, Size]], made: dict[Cell, list[Sample]]) -> None:
        for cell, size in floors:
            made[cell].append(self.measure(cell, size))


FLOOR_EVERY = 16  # turns of cells between two of the floor
TURNS = 3  # of a cell of concurrency 1 in a round


def _turns(cell: Cell, size: Size, before: str) -> list[tuple[Cell, Size, str]]:
    """The turns that a cell's share of a round is cut into."""
    turns = TURNS if cell.concurrency == 1 else 1
    return [(cell, Size(size.seconds / turns, -(-size.count // turns)), before)] * turns


def _together(samples: Sequence[Sample]) -> Sample:
    """What the turns of one round say together: times by their median, CPU by all requests."""
    requests = sum(one.requests for one in samples)
    times = {name: statistics.median(getattr(one, name) for one in samples) for name in ("p50", "p95", "p99", "rps")}
    spent = {
        name: sum(getattr(one, name) * one.requests for one in samples) / requests
        for name in ("cpu", "database_cpu", "load_cpu")
    }
    return Sample(**times, **spent, requests=requests)
