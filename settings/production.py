"""Servers that others reach. Every secret comes from the environment; where one is missing, the process
does not start and says which. TLS is expected to end at the load balancer in front."""

import importlib.util
from typing import Any

import django
from django.core.exceptions import ImproperlyConfigured

from settings import env, logs
from settings.base import *  # noqa: F403
from settings.base import SCORER_FAST, cache, database

DEBUG = False

SECRET_KEY = env.required("SECRET_KEY", "at least 32 random characters; it signs sessions and access tokens")
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY must have at least 32 characters.")
if signing_key := env.text("JWT_SIGNING_KEY"):
    NINJA_JWT = {"SIGNING_KEY": signing_key}
CGRANTS_API_TOKEN = env.required("CGRANTS_API_TOKEN", "what internal callers send as Authorization")
CERAMIC_CACHE_SCORER_ID = env.required("CERAMIC_CACHE_SCORER_ID", "the id of the stamp cache's community")
TRUSTED_IAM_ISSUERS = env.required_words("TRUSTED_IAM_ISSUERS", "the DIDs whose stamps count, by commas")
ALLOWED_HOSTS = env.required_words("ALLOWED_HOSTS", "the host names that are served, by commas")


def _server(url: str) -> dict[str, Any]:
    """A database as this server uses it: through a pool of DB_POOL connections per process, else one
    connection per thread that lives CONN_MAX_AGE seconds."""
    # Behind PgBouncer in transaction mode a cursor on the server's side would outlive its connection.
    cursors = {"DISABLE_SERVER_SIDE_CURSORS": env.flag("DISABLE_SERVER_SIDE_CURSORS", False)}
    # A network that swallows packets is noticed: at connecting, while a statement is out, and by an idle connection.
    options: dict[str, Any] = {
        "connect_timeout": env.number("CONNECT_TIMEOUT", 3),  # seconds
        "tcp_user_timeout": env.number("TCP_USER_TIMEOUT", 4000),  # milliseconds that what was sent may go unanswered
        "keepalives_idle": 2,  # seconds of silence before it is asked whether it is there
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    # The server binds parameters: psycopg 3 would write them into every statement itself.
    if env.flag("SERVER_SIDE_BINDING", True) and importlib.util.find_spec("psycopg") is not None:
        options["server_side_binding"] = True
        # A statement's fifth time in a session it is prepared there. 0 where sessions are shared by a pooler.
        options["prepare_threshold"] = env.number("PREPARE_THRESHOLD", 5) or None
    size = env.number("DB_POOL", 0)
    if not size:
        age = env.number("CONN_MAX_AGE", 600)
        return database(url, CONN_MAX_AGE=age, CONN_HEALTH_CHECKS=True, OPTIONS=options, **cursors)
    if django.VERSION < (5, 1) or importlib.util.find_spec("psycopg_pool") is None:
        raise ImproperlyConfigured("DB_POOL needs Django 5.1 or later and psycopg with its pool (psycopg[pool]).")
    pool = {"min_size": min(2, size), "max_size": size, "timeout": env.number("DB_POOL_TIMEOUT", 5)}
    # Beside a pool Django wants CONN_MAX_AGE 0: it is the pool that keeps connections.
    return database(url, CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=True, OPTIONS={**options, "pool": pool}, **cursors)


DATABASES = {"default": _server(env.required("DATABASE_URL", "postgres://user:password@host:port/name"))}
if read_url := env.text("READ_DATABASE_URL"):
    DATABASES["read_replica"] = _server(read_url)
    REGISTRY_API_READ_DB = env.text("REGISTRY_API_READ_DB", "read_replica")

# Rate limits hold over all processes only in a cache that they share.
CACHES = cache(env.required("REDIS_URL", "redis://host:port/0, the cache that counts rate limits"))

SCORER_FAST |= {
    "LOCK_TIMEOUT_MS": env.number("LOCK_TIMEOUT_MS", 2000),
    "STATEMENT_TIMEOUT_MS": env.number("STATEMENT_TIMEOUT_MS", 10_000),
    "REQUEST_DEADLINE_SECONDS": float(env.number("REQUEST_DEADLINE_SECONDS", 10)),
}

LOGGING = logs.configuration(env.text("LOG_LEVEL", "INFO"), env.text("LOG_FORMAT", "json"))

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.flag("SECURE_SSL_REDIRECT", False)
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.flag("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"
# Turned off on purpose: redirect and HSTS belong to the load balancer, unless the variables above say so.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]
