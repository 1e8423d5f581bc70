"""Which candidates carry a good signature: remembered ones by digest, the others by the verifier, once."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import NamedTuple

from ..domain import bounds
from ..domain.credentials import Unreadable, Valid
from ..run import Run
from ..settings import conf
from ..telemetry import count
from . import verifier

logger = logging.getLogger("scorer_fast")


class Checked(NamedTuple):
    """Candidates with a good signature in their order; which of them are news, and which once were good and are not."""

    good: tuple[Valid, ...]
    new: tuple[Valid, ...] = ()
    no_longer: tuple[Valid, ...] = ()


def check(run: Run, candidates: Sequence[Valid], *, reverify: bool = False) -> Checked:
    """Ask the verifier about candidates that nobody remembers; with ``reverify`` about the remembered ones too.

    What it said in this request it is not asked again. VerifierDown where it gives no answer in time.
    """
    unknown = [stamp for stamp in candidates if not stamp.remembered]
    again = [stamp for stamp in candidates if stamp.remembered] if reverify else []
    asked = _within_bounds(run, [stamp for stamp in (*unknown, *again) if stamp.digest not in run.verified])
    if asked:
        answers = verifier.verify(
            [stamp.text or "" for stamp in asked], min(conf.verify_timeout_seconds, run.deadline.seconds())
        )
        run.verified.update((stamp.digest, answer) for stamp, answer in zip(asked, answers, strict=True))
        count("signatures.verified", sum(answers))
        count("signatures.rejected", len(answers) - sum(answers))
    count("signatures.remembered", len(candidates) - len(unknown))
    no_longer = tuple(stamp for stamp in again if not run.verified[stamp.digest])
    if no_longer:
        digests = [stamp.digest for stamp in no_longer]
        logger.error("remembered signatures no longer check out", extra={"digests": digests})
    return Checked(
        tuple(stamp for stamp in candidates if run.verified.get(stamp.digest, stamp.remembered)),
        tuple(stamp for stamp in unknown if run.verified[stamp.digest]),
        no_longer,
    )


def _within_bounds(run: Run, stamps: Sequence[Valid]) -> list[Valid]:
    """Those of the stamps that native code may see; the others are no good, counted and logged as unreadable."""
    within: list[Valid] = []
    beyond: list[Unreadable] = []
    for stamp in stamps:
        why = bounds.check(stamp.text or "")
        if why is None:
            within.append(stamp)
        else:
            run.verified[stamp.digest] = False
            beyond.append(Unreadable(stamp.key, stamp.provider, why))
    log_unreadable(beyond)
    return within


def log_unreadable(unreadable: Sequence[Unreadable]) -> None:
    """Count and log stamps that were left out."""
    count("stamps.unreadable", len(unreadable))
    for stamp in unreadable:
        logger.warning(
            "a stamp was left out: %s",
            stamp.reason,
            extra={"ceramic_cache_id": stamp.key, "provider": stamp.provider},
        )


def is_sampled() -> bool:
    """Whether this scoring checks remembered signatures again (and so has to read every text)."""
    one_in = conf.reverify_one_in
    return one_in > 0 and random.random() * one_in < 1
