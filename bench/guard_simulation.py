"""The guard beside the truth: how often it is wrong about equal sides, and how soon it finds one that is worse.

    python -m bench.guard_simulation [--judgements 100000] [--seed N] [--runs 100] [--only false|found]

One judgement is one minute of one operation. Equal sides: 5 to 5,000 requests a minute, shares of 1 to 99 %, daily
rhythm, bursts, heavy tails, outages of both sides, and few callers of whom some are always slow or always fail,
whichever side their address falls on. Every request goes through the same code as in a worker; no database is asked.
"""

from __future__ import annotations

import argparse
import math
import secrets
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer_fast.cutover.evidence import STREAMS, Evidence, Limits, SideMinute
from scorer_fast.cutover.figures import BUCKETS_PER_DECADE, percentile
from scorer_fast.domain.sequential import CALLER_BITS, MINUTES_A_YEAR, threshold

LIMITS = Limits(error_points=0.001, p95_ratio=1.0, error_share=0.02, p95_times=4.0)
STRICT = threshold(1.0, STREAMS)
DAY = 1440
Array = Any


@dataclass
class World:
    """One operation's traffic; rates are per request, durations in seconds."""

    random: np.random.Generator
    per_minute: float
    share: float  # of the requests, or of the callers, on the fast path
    median: float
    sigma: float
    tail: float  # exponent of a Pareto tail that a tenth of the requests have
    errors: float
    callers: int  # 0: each request has a caller of its own
    rhythm: float
    bursts: bool
    outages: bool

    def __post_init__(self) -> None:
        if self.callers:
            self.on_fast = self.random.random(self.callers) < self.share
            self.slowness = np.where(self.random.random(self.callers) < 0.07, 6.0, 1.0)
            self.failing = np.where(self.random.random(self.callers) < 0.01, 0.5, self.errors)
            self.activity = self.random.pareto(1.2, self.callers) + 0.1
            self.activity *= self.per_minute / self.activity.sum()
        self.outage_until = self.burst_until = -1
        self.outage_rate, self.burst = 0.0, 1.0

    def minute(self, number: int, fault: Fault | None = None) -> tuple[SideMinute, SideMinute]:
        """What both sides served in a minute, each caller once."""
        wave = 1 + self.rhythm * math.sin(2 * math.pi * number / DAY)
        if self.bursts and self.random.random() < 1 / 300:
            self.burst_until, self.burst = number + int(self.random.integers(1, 10)), self.random.uniform(2, 10)
        if self.outages and self.random.random() < 1 / 700:
            self.outage_until = number + int(self.random.integers(1, 20))
            self.outage_rate = self.random.choice([0.02, 0.3, 0.95])
        burst = self.burst if number < self.burst_until else 1.0
        failing = self.outage_rate if number < self.outage_until else 0.0
        load = (1 + 0.5 * (wave - 1)) * (1 + 0.2 * (burst - 1)) * (5 if failing else 1)
        # An outage begins somewhere in the minute, and hits what comes while it lasts, on both sides.
        part = self.random.random() if failing else 0.0
        sides = []
        for side in (0, 1):
            if self.callers:
                mine = np.flatnonzero(self.on_fast if side == 0 else ~self.on_fast)
                seen = mine[self.random.random(len(mine)) < 1 - np.exp(-self.activity[mine] * wave * burst)]
                requests, who = len(seen), seen % CALLER_BITS
                slowness, errors = self.slowness[seen], self.failing[seen]
            else:
                share = self.share if side == 0 else 1 - self.share
                requests = int(self.random.poisson(self.per_minute * share * wave * burst))
                who = self.random.integers(0, CALLER_BITS, requests)
                slowness, errors = np.ones(requests), np.full(requests, self.errors)
            seconds = self.median * load * slowness * np.exp(self.sigma * self.random.standard_normal(requests))
            tail = self.random.random(requests) < 0.1
            seconds[tail] *= 1 + self.random.pareto(self.tail, int(tail.sum()))
            hit = self.random.random(requests) < part
            errors = np.where(hit, np.maximum(errors, failing), errors)
            if side == 0 and fault is not None:
                seconds *= fault.slower
                errors = np.maximum(errors, fault.errors)
            sides.append(_side(seconds, self.random.random(requests) < errors, who))
        return sides[0], sides[1]


@dataclass
class Fault:
    """What is wrong with the fast path."""

    name: str
    slower: float = 1.0
    errors: float = 0.0


def _side(seconds: Array, failed: Array, who: Array) -> SideMinute:
    bits = np.left_shift(np.uint64(1), who.astype(np.uint64))
    side = SideMinute()
    side.errors = int(failed.sum())
    side.error_callers = int(np.bitwise_or.reduce(bits[failed], initial=0))
    side.callers = int(np.bitwise_or.reduce(bits, initial=0))
    good = ~failed
    index = _buckets(seconds[good])
    bits = bits[good]
    if len(index):
        order = np.argsort(index, kind="stable")
        index, bits = index[order], bits[order]
        starts = np.flatnonzero(np.r_[True, index[1:] != index[:-1]])
        sizes = np.diff(np.r_[starts, len(index)])
        masks = np.bitwise_or.reduceat(bits, starts)
        side.ok = dict(zip(index[starts].tolist(), sizes.tolist(), strict=True))
        side.ok_callers = dict(zip(index[starts].tolist(), masks.tolist(), strict=True))
    return side


def _buckets(seconds: Array) -> Array:
    """As ``figures.bucket``, of many."""
    micros = np.clip((seconds * 1e6).astype(np.int64), 10, 10**9)
    decades = np.floor(np.log10(micros)).astype(np.int64) - 1
    return decades * BUCKETS_PER_DECADE + micros // 10**decades - 10


def any_world(random: np.random.Generator) -> World:
    """An operation as there may be one."""
    callers = int(random.choice([0, 0, 20, 100, 1000]))
    return World(
        random,
        per_minute=float(np.exp(random.uniform(math.log(5), math.log(5000)))),
        share=float(random.choice([0.01, 0.05, 0.25, 0.5, 0.9, 0.99])),
        median=float(random.choice([0.004, 0.03, 0.2])),
        sigma=float(random.uniform(0.2, 1.2)),
        tail=float(random.choice([1.1, 2.0, 3.0])),
        errors=float(random.choice([0.0, 0.0005, 0.01])),
        callers=callers,
        rhythm=float(random.uniform(0, 0.9)),
        bursts=bool(random.integers(2)),
        outages=bool(random.integers(2)),
    )


def worse(evidence: Evidence) -> list[str]:
    """The comparisons by which the guard would latch."""
    found = []
    for name, detector in (("errors", evidence.errors), ("p95", evidence.slow)):
        if detector.strength() >= STRICT and detector.callers >= 2:
            found.append(name)
    if evidence.is_unshared(STRICT) and evidence.errors_alone.callers >= 2:
        found.append("errors by themselves")
    return found


class Before:
    """The guard as it was: point estimates of the last ten minutes beside fixed limits, from 200 requests a side on."""

    def __init__(self) -> None:
        self.minutes: list[tuple[SideMinute, SideMinute]] = []

    def add(self, fast: SideMinute, host: SideMinute) -> bool:
        self.minutes = [*self.minutes[-9:], (fast, host)]
        sums = [sum(minute[side].served for minute in self.minutes) for side in (0, 1)]
        if min(sums) < 200:
            return False
        errors = [100 * sum(minute[side].errors for minute in self.minutes) / sums[side] for side in (0, 1)]
        p95 = [percentile(sum((Counter(m[side].ok) for m in self.minutes), Counter()), 95) for side in (0, 1)]
        return errors[0] - errors[1] > 0.1 + 1e-9 or (None not in p95 and p95[0] > p95[1])


# ---- equal sides


def equal_sides(judgements: int, random: np.random.Generator) -> dict[str, Any]:
    """False latches of so many judgements, by the guard and by the one before it; longest evidence for nothing."""
    false: list[str] = []
    before_false = before_seen = done = 0
    highest = 0.0
    while done < judgements:
        world = any_world(random)
        evidence, before = Evidence(), Before()
        for number in range(min(2000, judgements - done)):
            minute = world.minute(number)
            evidence.add(*minute, LIMITS)
            highest = max(highest, evidence.errors.strength(), evidence.slow.strength())
            found = worse(evidence)
            if found:
                false.append(f"{', '.join(found)} after {number} min of {world}")
                evidence = Evidence()
            if number < 500:  # what it did wrong so often need not be counted a million times
                before_seen += 1
                if before.add(*minute):
                    before_false += 1
                    before = Before()
            done += 1
        if done % 20_000 < 2000:
            print(f"{done} judgements, {len(false)} false latches", file=sys.stderr, flush=True)
    return {"judgements": done, "false": false, "highest": highest, "before": (before_false, before_seen)}


# ---- one side that is worse

FAULTS = (
    Fault("p95 doubled", slower=2.0),
    Fault("p95 tripled", slower=3.0),
    Fault("0.5 % errors", errors=0.005),
    Fault("2 % errors", errors=0.02),
    Fault("20 % errors", errors=0.20),
)
MOST = 4000  # minutes


def found_after(fault: Fault, share: float, random: np.random.Generator) -> tuple[int | None, int | None]:
    """Requests of both sides from the fault until it is latched, by this guard and by the one before it."""
    world = World(random, 1000, share, 0.05, 0.5, 2.0, 0.0002, 0, 0.0, False, False)
    evidence, before = Evidence(), Before()
    for number in range(300):  # all is well at first; what the guard before makes of that is told elsewhere
        minute = world.minute(number)
        evidence.add(*minute, LIMITS)
    before.minutes = [world.minute(number) for number in range(10)]
    requests, found, found_before = 0, None, None
    for number in range(MOST):
        minute = world.minute(number, fault)
        requests += minute[0].served + minute[1].served
        evidence.add(*minute, LIMITS)
        if found is None and worse(evidence):
            found = requests
        if found_before is None and number < 100 and before.add(*minute):
            found_before = requests
        if found is not None and (found_before is not None or number > 100):
            break
    return found, found_before


def best_possible(fault: Fault, share: float, random: np.random.Generator) -> float:
    """Requests that a test with the same rate of false alarms takes which knows both sides' rates beforehand."""
    if fault.errors:
        usual, faulty = 0.0002, fault.errors
    else:
        world = World(random, 1e6, 0.5, 0.05, 0.5, 2.0, 0.0, 0, 0.0, False, False)
        fast, host = world.minute(0, fault)
        edge = percentile(host.ok, 95)
        assert edge is not None
        usual, faulty = host.slower(edge)[0] / host.served, fast.slower(edge)[0] / fast.served
    gain = faulty * math.log(faulty / usual) + (1 - faulty) * math.log((1 - faulty) / (1 - usual))
    return STRICT / gain / share


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--judgements", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--runs", type=int, default=40, help="of each fault and share")
    parser.add_argument("--only", choices=("false", "found"))
    options = parser.parse_args()
    seed = secrets.randbits(32) if options.seed is None else options.seed
    random = np.random.default_rng(seed)
    print(f"seed {seed}; latches at a strength of {STRICT:.1f} (one false alarm a year in {STREAMS} comparisons)")
    started = time.monotonic()
    if options.only != "found":
        equal = equal_sides(options.judgements, random)
        wrong, seen = equal["before"]
        print(f"equal sides: {equal['judgements']} judgements, {len(equal['false'])} false latches,", end=" ")
        print(f"strongest evidence {equal['highest']:.1f}; the guard before: {wrong} of {seen}")
        for line in equal["false"]:
            print(f"    {line}")
    if options.only != "false":
        print("| fault | share | best possible | this guard: median, 90 % | the guard before |")
        print("|---|---:|---:|---:|---:|")
        for fault in FAULTS:
            for share in (0.5, 0.05, 0.99):
                runs = [found_after(fault, share, random) for _ in range(options.runs)]
                now, before = ([run[which] for run in runs] for which in (0, 1))
                best = best_possible(fault, share, random)
                print(
                    f"| {fault.name} | {100 * share:g} % | {best:,.0f} | {_spread(now)} | {_spread(before)} |",
                    flush=True,
                )
    print(f"{time.monotonic() - started:.0f} s; a year has {MINUTES_A_YEAR} minutes")
    if options.only != "found" and len(equal["false"]) > max(1, options.judgements / 1_000_000):
        raise SystemExit("more false latches than one in a million")


def _spread(requests: list[int | None]) -> str:
    found = sorted(each for each in requests if each is not None)
    if len(found) < len(requests) * 0.9:
        return f"{len(found)} of {len(requests)} found"
    return f"{statistics.median(found):,.0f}, {found[int(len(found) * 0.9) - 1]:,.0f}"


if __name__ == "__main__":
    main()
