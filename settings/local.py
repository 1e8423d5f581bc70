"""Local runs: the embedded PostgreSQL unless DATABASE_URL names another server, a cache in memory unless
REDIS_URL names one. Nothing here is secret; production.py is for servers that others reach."""

import os

from api import demo_issuer, demo_tokens
from settings import env, logs
from settings.base import *  # noqa: F403
from settings.base import cache, database
from settings.embedded_postgres import embedded

DEBUG = env.flag("DEBUG", True)
SECRET_KEY = env.text("SECRET_KEY", "local-secret-key-for-this-machine-alone-0123456789")
ALLOWED_HOSTS = ["*"]

DATABASES = {
    "default": database(
        os.environ.get("DATABASE_URL") or embedded().url(),
        CONN_MAX_AGE=env.number("CONN_MAX_AGE", 600),  # seconds
        CONN_HEALTH_CHECKS=True,
    ),
}

CACHES = cache(env.text("REDIS_URL"))
if not env.text("REDIS_URL"):
    # django-ratelimit wants a cache that all processes share; one local process is all there is.
    SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]

CERAMIC_CACHE_SCORER_ID = env.text("CERAMIC_CACHE_SCORER_ID", "1")
TRUSTED_IAM_ISSUERS = env.words("TRUSTED_IAM_ISSUERS", tuple(demo_issuer.ISSUERS.values()))
CGRANTS_API_TOKEN = env.text("CGRANTS_API_TOKEN", "local-internal-token")
HUMAN_POINTS_ENABLED = env.flag("HUMAN_POINTS_ENABLED", True)
HUMAN_POINTS_WRITE_ENABLED = env.flag("HUMAN_POINTS_WRITE_ENABLED", True)
SIWE_JWT_PUBLIC_KEY = env.text("SIWE_JWT_PUBLIC_KEY", demo_tokens.public_key(demo_tokens.KEY_FILE))
FF_API_ANALYTICS = env.text("FF_API_ANALYTICS", "on")
FF_MULTI_NULLIFIER = env.text("FF_MULTI_NULLIFIER", "on")

SCORER_FAST = {"DOCS": env.text("DOCS", "on"), "STRICT_CONTEXT": env.flag("STRICT_CONTEXT", True)}

LOGGING = logs.configuration(env.text("LOG_LEVEL", "INFO"), env.text("LOG_FORMAT", "plain"))
