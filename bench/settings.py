"""settings.production, served beside the floor. Two things are not as in production. Rate limits would measure the
Redis in between, so the benchmark's key has none and the cache is in memory. What waited is measured, not shed."""

from settings import env
from settings.production import *  # noqa: F403
from settings.production import SCORER_FAST, SILENCED_SYSTEM_CHECKS

ROOT_URLCONF = "bench.urls"
WSGI_APPLICATION = "bench.wsgi.application"
ASGI_APPLICATION = "bench.asgi.application"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SILENCED_SYSTEM_CHECKS = [*SILENCED_SYSTEM_CHECKS, "django_ratelimit.E003", "django_ratelimit.W001"]
# The measurement of overload has the bounds that shed load.
SHED = {
    "SHED_AFTER_SECONDS": float(env.text("SHED_AFTER_SECONDS", "0")),
    "MAX_IN_PROGRESS": env.number("MAX_IN_PROGRESS", 64),
}
SCORER_FAST = {**SCORER_FAST, **SHED}

for _server in DATABASES.values():  # noqa: F405  what the measurement of connections varies
    _server["CONN_HEALTH_CHECKS"] = env.flag("CONN_HEALTH_CHECKS", True)
