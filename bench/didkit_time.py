"""didkit's own time, in this process, which does nothing else meanwhile: what a first score cannot do without."""

from __future__ import annotations

import statistics
import time

import orjson

from bench import stamps

TURN = 5  # questions of each size in a turn


class DidkitTime:
    """Milliseconds for twenty signatures at once and for a single one, taken in turns between other measurements."""

    def __init__(self) -> None:
        self._texts = [orjson.dumps(one).decode() for one, _ in zip(stamps.read(), range(20), strict=False)]
        self._took: dict[int, list[float]] = {20: [], 1: []}
        self.turn()
        for times in self._took.values():
            times.clear()  # the first one has loaded it

    def turn(self) -> None:
        from scorer_fast.scoring.verifier import verify

        for _ in range(TURN):
            for size, times in self._took.items():
                started = time.perf_counter()
                if not all(verify(self._texts[:size], 60)):
                    raise SystemExit("A stamp of the benchmark is not well signed.")
                times.append((time.perf_counter() - started) * 1000)

    def medians(self) -> dict[str, float]:
        """Over all turns."""
        return {
            "batch_of_20": round(statistics.median(self._took[20]), 3),
            "one": round(statistics.median(self._took[1]), 3),
        }
