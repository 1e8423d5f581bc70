"""settings.production, with every operation on the fast path by the middleware, as in a host, and a cache in memory."""

from settings import env
from settings.production import *  # noqa: F403
from settings.production import MIDDLEWARE as OF_PRODUCTION  # type: ignore[attr-defined]
from settings.production import SCORER_FAST, SILENCED_SYSTEM_CHECKS

ROOT_URLCONF = "settings.urls"
MIDDLEWARE = [*OF_PRODUCTION, "scorer_fast.cutover.middleware.ScorerFastMiddleware"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SILENCED_SYSTEM_CHECKS = [*SILENCED_SYSTEM_CHECKS, "django_ratelimit.E003", "django_ratelimit.W001"]
SCORER_FAST = {
    **SCORER_FAST,
    "MODES": {"*": "fast"},
    "CONTROL_PERCENT": 0,
    "SHED_AFTER_SECONDS": float(env.text("SHED_AFTER_SECONDS", "0.5")),
}
