"""The host with the fast path in it: its own views behind the middleware, every operation switched over."""

from bench.settings import *  # noqa: F403
from bench.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "scorer_fast.cutover.middleware.ScorerFastMiddleware"]
ROOT_URLCONF = "bench.host_urls"
SCORER_FAST = {"MODES": {"*": "fast"}, "CONTROL_PERCENT": 0, "SHED_AFTER_SECONDS": 0}
