"""didkit's own time for signatures, in a process that does nothing else meanwhile: what a first score cannot spare.

python -m bench.didkit_time     # in this process and behind the wall (VERIFIER_PROCESSES), in turn
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import orjson

from bench import stamps

TURN = 5  # questions of each size in a turn
TURNS = 40


class DidkitTime:
    """Milliseconds for twenty signatures at once and for a single one, taken in turns between other measurements."""

    def __init__(self, texts: Sequence[str] | None = None, verify: Callable[..., list[bool]] | None = None) -> None:
        if verify is None:
            from scorer_fast.scoring.verifier_local import verify
        self._verify = verify
        self._texts = texts or [orjson.dumps(one).decode() for one, _ in zip(stamps.read(), range(20), strict=False)]
        self._took: dict[int, list[float]] = {20: [], 1: []}
        self.turn()
        for times in self._took.values():
            times.clear()  # the first one has loaded it

    def turn(self) -> None:
        for _ in range(TURN):
            for size, times in self._took.items():
                started = time.perf_counter()
                if not all(self._verify(self._texts[:size], 60)):
                    raise SystemExit("A stamp of the benchmark is not well signed.")
                times.append((time.perf_counter() - started) * 1000)

    def medians(self) -> dict[str, float]:
        """Over all turns."""
        return {
            "batch_of_20": round(statistics.median(self._took[20]), 3),
            "one": round(statistics.median(self._took[1]), 3),
        }


def main() -> None:
    """Both ways of asking, and what is looked at before either."""
    from django.conf import settings

    from api.demo_issuer import Claim, sign_credentials
    from scorer_fast.domain import bounds
    from scorer_fast.scoring import verifier, verifier_local

    settings.configure()
    address = "0x" + "a" * 40
    for proof in ("eip712", "ed25519"):
        claims = (Claim(address, f"P{number}", hash=f"v0.0.0:{number}", proof=proof) for number in range(20))  # type: ignore[arg-type]
        texts = [orjson.dumps(one).decode() for one in sign_credentials(claims)]
        inside, behind = DidkitTime(texts, verifier_local.verify), DidkitTime(texts, verifier.verify)
        for _ in range(TURNS):
            inside.turn()
            behind.turn()
        here, there = inside.medians(), behind.medians()
        for name in here:
            print(f"{proof} {name}: {here[name]} ms here, {there[name]} ms there ({there[name] / here[name]:.2f})")
        started = time.perf_counter()
        for text in texts * TURNS:
            bounds.check(text)
        print(f"{proof} bounds: {(time.perf_counter() - started) / TURNS / len(texts) * 1e6:.0f} µs each")


if __name__ == "__main__":
    main()
