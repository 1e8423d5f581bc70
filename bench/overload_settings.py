"""bench.settings, with the bounds that shed load as the environment says; 0: without."""

from bench.settings import *  # noqa: F403
from bench.settings import SCORER_FAST
from settings import env

SCORER_FAST = {
    **SCORER_FAST,
    "SHED_AFTER_SECONDS": float(env.text("SHED_AFTER_SECONDS", "0.5")),
    "MAX_IN_PROGRESS": env.number("MAX_IN_PROGRESS", 64),
}
