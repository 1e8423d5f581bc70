"""What the guard has seen of an operation within one step of its flag, minute by minute.

    evidence = Evidence.of(state)
    evidence.add(minute, limits)           # both sides' served requests of one minute
    evidence.errors.strength()             # see domain/sequential.py

Requests are counted once per caller and minute (``distinct`` of the figures). Two comparisons: errors among what was
served, and answers that took longer than an edge among those that went well; the edge is the end of the first bucket
above the host's p95, as it was before this minute, times what is allowed. Pure: no database, no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..domain.sequential import CALM, NEVER, RATIOS, Detector, Stratum, log_factors, mean, proportion
from ..http.catalogue import OPERATIONS
from .figures import ERRORS, Outcome, bucket, percentile, upper_bound

STREAMS = 3 * len(OPERATIONS)  # tests that go on at once: errors, errors by themselves and p95 of each
SLOW_SHARE = 0.05  # of a side's requests are slower than its p95
SLOW_TOLERATED = 0.02  # by how much the share above the edge may exceed the host's: callers differ, days are long
LEAST_FOR_EDGE = 20  # requests of the host that a p95 takes
NEWEST = 2000  # requests that a p95 is read from; older ones fade
ALONE = 1000  # requests in a row without one of the host: there is no control any more
LIVING_TIMES = 4  # what errors were when last compared, and the fast path's own limit beside a small control
LEAST_LIVING = 1000  # requests that such a limit takes
SHARED = math.log(1000)  # of so many incidents of both sides, one at most is taken for the fast path's


@dataclass
class SideMinute:
    """One side's served requests of a minute, each caller's first; ``callers`` are bit sets."""

    ok: dict[int, int] = field(default_factory=dict)  # by bucket of duration
    ok_callers: dict[int, int] = field(default_factory=dict)
    requests: int = 0  # all of them, a caller's later ones too
    others: int = 0  # answered 4xx
    errors: int = 0
    callers: int = 0
    error_callers: int = 0
    kinds: dict[str, int] = field(default_factory=dict)  # errors by outcome

    def count(self, outcome: Outcome, bucket: int, requests: int, callers: int) -> None:
        """Count in one cell of the figures."""
        self.callers |= callers
        if outcome in (Outcome.OK, Outcome.TIMED_OUT):  # the latter was slow: who else is, is compared, not why
            self.ok[bucket] = self.ok.get(bucket, 0) + requests
            self.ok_callers[bucket] = self.ok_callers.get(bucket, 0) | callers
        elif outcome in ERRORS:
            self.errors += requests
            self.error_callers |= callers
            self.kinds[outcome.value] = self.kinds.get(outcome.value, 0) + requests
        else:
            self.others += requests

    @property
    def went_well(self) -> int:
        return sum(self.ok.values())

    @property
    def served(self) -> int:
        return self.went_well + self.others + self.errors

    def slower(self, edge: int) -> tuple[int, int]:
        """Requests that took longer than the edge, and whose."""
        callers = 0
        for index, those in self.ok_callers.items():
            if index > edge:
                callers |= those
        return sum(requests for index, requests in self.ok.items() if index > edge), callers


class Limits(NamedTuple):
    """What is tolerated: errors as shares, p95 as a ratio; None is not judged."""

    error_points: float | None
    p95_ratio: float | None
    error_share: float | None  # where there is no host to compare with
    p95_times: float | None  # of what the fast path's p95 was when there was one
    has_control: bool = True  # whether the host is asked at all


@dataclass
class Evidence:
    """The state of one step; everything in it is JSON."""

    errors: Detector = field(default_factory=Detector)
    slow: Detector = field(default_factory=Detector)
    errors_alone: Detector = field(default_factory=Detector)
    slow_alone: Detector = field(default_factory=Detector)
    host: dict[int, float] = field(default_factory=dict)  # the newest durations of what went well
    fast: dict[int, float] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)  # the fast path's errors since they are suspected
    alone: int = 0  # requests of the fast path since the host's last one
    living: int | None = None  # bucket of the fast path's p95 when it was last compared
    living_errors: float | None = None  # at most this share of both sides' requests were errors then
    unshared: list[float] = field(default_factory=lambda: [0.0] * len(RATIOS))  # since errors_alone is suspected

    def add(self, fast: SideMinute, host: SideMinute, limits: Limits) -> None:
        """Count in one minute."""
        had_no_control = self.has_no_control
        if host.served:
            self.alone = 0
        else:
            self.alone += fast.requests if limits.has_control else ALONE
        if self.has_no_control is not had_no_control:
            self.errors_alone = Detector()  # by another limit
        if limits.error_points is not None:
            stratum = Stratum(fast.served, fast.errors, host.served, host.errors)
            self.errors.add(stratum, limits.error_points, fast.callers, fast.error_callers)
            self._add_errors_alone(stratum, fast, limits)
            self._count_kinds(fast)
        edge = self.edge(limits.p95_ratio)
        if edge is not None:
            slow, callers = fast.slower(edge)
            stratum = Stratum(fast.went_well, slow, host.went_well, host.slower(edge)[0])
            self.slow.add(stratum, SLOW_TOLERATED, _all(fast.ok_callers), callers)
        if self.has_no_control:
            self._add_slow_alone(fast, limits)
        _fade_in(self.fast, fast.ok)
        _fade_in(self.host, host.ok)
        if host.served and sum(self.host.values()) >= LEAST_FOR_EDGE <= sum(self.fast.values()):
            self.living = percentile(self.fast, 95)

    def _add_errors_alone(self, stratum: Stratum, side: SideMinute, limits: Limits) -> None:
        limit = self.limit_alone(limits)
        if limit is not None:
            was_calm = self.errors_alone.evidence() < CALM
            self.errors_alone.add_alone(stratum, limit, side.callers, side.error_callers)
            # Not the minute that made it suspect: it was chosen for the fast path's errors.
            if was_calm or self.errors_alone.evidence() < CALM:
                self.unshared = [0.0] * len(RATIOS)
            else:
                factors = log_factors(stratum, limits.error_points or 0.0)
                self.unshared = [max(log + more, NEVER) for log, more in zip(self.unshared, factors, strict=True)]
        recent = self.errors.recent
        requests = recent[0] + recent[2]
        if (
            stratum.host
            and requests >= LEAST_LIVING
            and max(self.errors.evidence(), self.errors_alone.evidence()) < CALM
        ):
            self.living_errors = proportion(recent[1] + recent[3], requests).high

    def limit_alone(self, limits: Limits) -> float | None:
        """The share of errors that the fast path may have by itself; None where that is not judged.

        Without a control it is fixed, beside one it follows from what both sides' errors were when last compared.
        """
        if self.has_no_control or limits.error_share is None or limits.error_points is None:
            return limits.error_share
        return None if self.living_errors is None else limits.error_points + LIVING_TIMES * self.living_errors

    def is_unshared(self, strict: float) -> bool:
        """Whether the fast path's errors are surely too many by themselves, and in all likelihood not the host's too.

        For a host that answers so little that the strict comparison takes an hour.
        """
        return self.errors_alone.strength() >= strict and mean(self.unshared) >= SHARED

    def _add_slow_alone(self, fast: SideMinute, limits: Limits) -> None:
        edge = self.edge_alone(limits.p95_times)
        if edge is not None:
            slow, callers = fast.slower(edge)
            self.slow_alone.add_alone(Stratum(fast.went_well, slow), SLOW_SHARE, _all(fast.ok_callers), callers)

    def _count_kinds(self, fast: SideMinute) -> None:
        if not self.errors.minutes and not self.errors_alone.minutes:
            self.kinds = {}
        for kind, requests in fast.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + requests

    @property
    def has_no_control(self) -> bool:
        """Whether the host has answered nothing for so long that nothing is compared."""
        return self.alone >= ALONE

    def edge(self, ratio: float | None) -> int | None:
        """The bucket that the host's p95 times ``ratio`` ends in; None where it is not known."""
        if ratio is None or sum(self.host.values()) < LEAST_FOR_EDGE:
            return None
        p95 = percentile(self.host, 95)
        return None if p95 is None else _times(p95, ratio)

    def edge_alone(self, times: float | None) -> int | None:
        """The same for ``times`` what the fast path's p95 was when it was last compared."""
        return None if times is None or self.living is None else _times(self.living, times)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: value.as_dict() if isinstance(value, Detector) else value
            for name, value in ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        }

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Evidence:
        """What :meth:`as_dict` gave; the state of another release starts anew."""
        if kept.keys() != set(cls.__dataclass_fields__):
            return cls()
        return cls(
            errors=Detector.of(kept["errors"]),
            slow=Detector.of(kept["slow"]),
            errors_alone=Detector.of(kept["errors_alone"]),
            slow_alone=Detector.of(kept["slow_alone"]),
            host={int(index): requests for index, requests in kept["host"].items()},
            fast={int(index): requests for index, requests in kept["fast"].items()},
            kinds=dict(kept["kinds"]),
            alone=kept["alone"],
            living=kept["living"],
            living_errors=kept["living_errors"],
            unshared=kept["unshared"],
        )


def _times(index: int, ratio: float) -> int:
    return index if ratio == 1 else bucket(upper_bound(index) * ratio)


def _all(callers: dict[int, int]) -> int:
    together = 0
    for those in callers.values():
        together |= those
    return together


def _fade_in(kept: dict[int, float], new: dict[int, int]) -> None:
    for index, requests in new.items():
        kept[index] = kept.get(index, 0) + requests
    while sum(kept.values()) > NEWEST:
        for index in list(kept):
            kept[index] /= 2
            if kept[index] < 0.05:
                del kept[index]
