"""The host with the fast path in it: its own views behind the middleware, every operation switched over."""

from bench.settings import *  # noqa: F403
from bench.settings import MIDDLEWARE, SHED

MIDDLEWARE = [
    *(name for name in MIDDLEWARE if not name.startswith("scorer_fast.")),
    "scorer_fast.cutover.middleware.ScorerFastMiddleware",
]
ROOT_URLCONF = "bench.host_urls"
SCORER_FAST = {"MODES": {"*": "fast"}, "CONTROL_PERCENT": 0, **SHED}
