"""Whether one side does worse than the other, asked as often as one likes: a sequential test of two proportions.

    detector.add(Stratum(fast=300, fast_bad=9, host=290, host_bad=1), tolerated=0.001)     # a minute's requests
    detector.strength() >= threshold(alarms_a_year=1, streams=42)                          # worse, and sure of it

A stratum is what both sides did in the same minute. Suppose the fast path is at most ``tolerated`` worse than the
host was in that minute, whatever that was. For every ratio r > 1, with s the fast path's share of the requests,
a = r / (s r + 1 - s) and b = 1 / (s r + 1 - s), the number

    a ** fast_bad * b ** host_bad * exp(-fast * tolerated * (a - 1))

has an expectation of at most one: fast (a - 1) + host (b - 1) is zero, so that what both sides share (an outage, an
evening, a slow database) cancels, and a binomial's moments are below a Poisson's. Such e-values of one minute after
the other, M = max(M, 1) e for each ratio and then averaged, are an e-detector (of the CUSUM kind): where nothing is
wrong it takes on average at least c minutes to reach c, however often it is looked at, and when something has gone
wrong the healthy weeks before do not hold it up. So a threshold of c minutes *is* the rate of false alarms.

Sources: M. Lindon, C. Sanden, V. Shirikian, Rapid Regression Detection in Software Deployments through Sequential
Testing (KDD 2022), for comparing counts so that the common rate cancels; J. Shin, A. Ramdas, A. Rinaldo, E-detectors
(2023), for the average run length; R. Newcombe, Interval estimation for the difference between independent
proportions (1998), for the ordinary estimate; P. McCullagh, J. Nelder, Generalized Linear Models (1989), 4.5, for
overdispersion.

Requests of one caller stick to one side, so they are no independent evidence. What comes in counts a caller once a
minute; :func:`clumping` measures how much the same callers come again, and divides the strength.

Pure: no clock, no settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RATIOS = (1.1, 1.3, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
NEVER = -1e300  # a logarithm of nothing that survives JSON
CALM = math.log(20)  # below it nothing is suspected
KEPT = 4000  # requests of the smaller side that an ordinary estimate rests on; older ones fade
LONGEST = 60  # minutes that wait for a request of the other side
MINUTES_A_YEAR = 525_600
Z = 1.96  # of 95 %
CALLER_BITS = 63


class Stratum(NamedTuple):
    """What both sides did in the same time: requests, and bad ones among them."""

    fast: int = 0
    fast_bad: int = 0
    host: int = 0
    host_bad: int = 0

    def plus(self, other: Stratum) -> Stratum:
        return Stratum(*(one + more for one, more in zip(self, other, strict=True)))


class Interval(NamedTuple):
    """An estimate and its bounds at 95 %."""

    low: float
    estimate: float
    high: float


def proportion(bad: float, total: float) -> Interval:
    """The share of bad ones (Wilson's bounds); of nothing, anything from 0 to 1."""
    if total <= 0:
        return Interval(0.0, 0.0, 1.0)
    share = bad / total
    center = (share + Z * Z / (2 * total)) / (1 + Z * Z / total)
    half = Z / (1 + Z * Z / total) * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total * total))
    return Interval(max(center - half, 0.0) if bad else 0.0, share, min(center + half, 1.0) if bad < total else 1.0)


def difference(counts: Sequence[float]) -> Interval:
    """How much larger the fast path's share of bad ones is (Newcombe's bounds); ``counts`` as in a stratum."""
    fast, host = proportion(counts[1], counts[0]), proportion(counts[3], counts[2])
    estimate = fast.estimate - host.estimate
    low = math.hypot(fast.estimate - fast.low, host.high - host.estimate)
    high = math.hypot(fast.high - fast.estimate, host.estimate - host.low)
    return Interval(estimate - low, estimate, estimate + high)


def threshold(alarms_a_year: float, streams: int) -> float:
    """The strength beyond which ``streams`` tests together raise at most so many false alarms in a year."""
    return math.log(MINUTES_A_YEAR * streams / max(alarms_a_year, 1e-9))


def log_factors(stratum: Stratum, tolerated: float) -> list[float]:
    """Per ratio the logarithm of the stratum's e-value; all zero where one side did nothing."""
    if not stratum.fast or not stratum.host:
        return [0.0] * len(RATIOS)
    share = stratum.fast / (stratum.fast + stratum.host)
    factors = []
    for ratio in RATIOS:
        mixed = share * ratio + 1 - share
        up = ratio / mixed
        factors.append(
            stratum.fast_bad * math.log(up) - stratum.host_bad * math.log(mixed) - stratum.fast * tolerated * (up - 1)
        )
    return factors


def log_factors_alone(requests: int, bad: int, tolerated: float) -> list[float]:
    """The same without a host: the share of bad ones is at most ``tolerated``."""
    return [bad * math.log(ratio) - requests * tolerated * (ratio - 1) for ratio in RATIOS]


def mean(logs: Sequence[float]) -> float:
    """The logarithm of the mean of what ``logs`` are the logarithms of."""
    highest = max(logs)
    return highest + math.log(sum(math.exp(log - highest) for log in logs) / len(logs))


@dataclass
class Detector:
    """One comparison of two proportions as it goes on; its state is as large after a year as after a minute.

    ``recent`` sums up strata for the ordinary estimate, older ones faded; ``suspected`` those since the strength was
    last below :data:`CALM`. ``active`` and ``bad`` count, per hashed caller, in how many of these the caller was
    seen, and seen with a bad request, on the fast path.
    """

    logs: list[float] = field(default_factory=lambda: [NEVER] * len(RATIOS))
    recent: list[float] = field(default_factory=lambda: [0.0] * 4)
    suspected: list[float] = field(default_factory=lambda: [0.0] * 4)
    minutes: int = 0  # suspected ones
    bad_minutes: int = 0  # those of them with a bad request on the fast path
    active: list[int] = field(default_factory=lambda: [0] * CALLER_BITS)
    bad: list[int] = field(default_factory=lambda: [0] * CALLER_BITS)
    waiting: list[int] = field(default_factory=lambda: [0] * 5)  # a stratum with one side alone, and its minutes

    def add(self, stratum: Stratum, tolerated: float, callers: int = 0, bad_callers: int = 0) -> None:
        """Count in one minute; ``callers`` and ``bad_callers`` are bit sets of the fast path's."""
        self._see(callers, bad_callers, stratum.fast_bad)
        waited = Stratum(*self.waiting[:4]).plus(stratum)
        if waited.fast and waited.host:
            self.waiting = [0] * 5
            self._fold(waited, log_factors(waited, tolerated))
        elif self.waiting[4] >= LONGEST:
            self.waiting = [0] * 5
        else:
            self.waiting = [*waited, self.waiting[4] + 1]

    def add_alone(self, stratum: Stratum, tolerated: float, callers: int = 0, bad_callers: int = 0) -> None:
        """Count in one minute of which the fast path is judged by itself; the host's requests are told, no more."""
        if stratum.fast:
            self._see(callers, bad_callers, stratum.fast_bad)
            self._fold(stratum, log_factors_alone(stratum.fast, stratum.fast_bad, tolerated))

    def _see(self, callers: int, bad_callers: int, bad: int) -> None:
        self.minutes += 1
        self.bad_minutes += bad > 0
        for bit in range(CALLER_BITS) if callers else ():
            self.active[bit] += callers >> bit & 1
            self.bad[bit] += bad_callers >> bit & 1

    def _fold(self, stratum: Stratum, factors: list[float]) -> None:
        self.logs = [max(max(log, 0.0) + factor, NEVER) for log, factor in zip(self.logs, factors, strict=True)]
        for sums in (self.recent, self.suspected):
            for index, amount in enumerate(stratum):
                sums[index] += amount
        if min(self.recent[0], self.recent[2] or self.recent[0]) > KEPT:
            self.recent = [amount / 2 for amount in self.recent]
        if self.evidence() < CALM:
            self.suspected = [0.0] * 4
            self.minutes = self.bad_minutes = 0
            self.active, self.bad = [0] * CALLER_BITS, [0] * CALLER_BITS

    def evidence(self) -> float:
        """The logarithm of the e-detector, as if callers were independent."""
        return mean(self.logs)

    def strength(self) -> float:
        """What is compared with :func:`threshold`."""
        evidence = self.evidence()
        return evidence / clumping(self.active, self.bad) if evidence > 0 else evidence

    @property
    def callers(self) -> int:
        """At least so many callers met a bad request since something is suspected."""
        return sum(minutes > 0 for minutes in self.bad)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def of(cls, kept: dict[str, Any] | None) -> Detector:
        """What :meth:`as_dict` gave; a state of other fields, of another release say, starts anew."""
        return cls(**kept) if kept is not None and kept.keys() == set(cls.__dataclass_fields__) else cls()


def clumping(active: Sequence[int], bad: Sequence[int]) -> float:
    """By how much bad minutes fall on the same callers: 1 where on any, n where each comes n times again."""
    seen = [(minutes, hits) for minutes, hits in zip(active, bad, strict=True) if minutes]
    total, hits = sum(minutes for minutes, _ in seen), sum(hits for _, hits in seen)
    if len(seen) < 2 or not 0 < hits < total:
        return 1.0
    share = hits / total
    chi = sum((hit - minutes * share) ** 2 / (minutes * share * (1 - share)) for minutes, hit in seen)
    return max(chi / (len(seen) - 1), 1.0)


def needed(counts: Sequence[float], limit: float, least: int) -> int:
    """About how many more requests it takes until the ordinary estimate lies within ``limit``; 0 where it does."""
    smaller = min(counts[0], counts[2])
    missing = max(least - smaller, 0.0)
    if smaller and difference(counts).estimate < limit:
        growth = 1.0
        while difference([growth * count for count in counts]).high > limit and growth < 1e6:
            growth *= 1.1
        missing = max(missing, smaller * (growth - 1))
    return math.ceil(missing)
