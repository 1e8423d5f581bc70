"""What every run of this repository shares. A host that installs `scorer_fast` brings settings of its own."""

from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from settings import env

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework_api_key",
    "ninja",  # the files of the OpenAPI page
    "api.account",
    "api.registry",
    "api.ceramic_cache",
    "api.scorer_weighted",
    "api.stake",
    "api.cgrants",
    "scorer_fast",
]

MIDDLEWARE = [
    "scorer_fast.http.bounded.bounded",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "settings.urls"
WSGI_APPLICATION = "settings.wsgi.application"
ASGI_APPLICATION = "settings.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"

ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")


def database(url: str, **options: Any) -> dict[str, Any]:
    """Django's description of the database at `url`; `options` complete what the URL leaves out."""
    try:
        parsed = dj_database_url.parse(url)
    except (ValueError, dj_database_url.ParseError) as error:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {type(error).__name__}.") from None
    if not str(parsed.get("ENGINE", "")).endswith("postgresql"):
        raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL server (postgres://…).")
    return {**parsed, **options, "OPTIONS": {**options.get("OPTIONS", {}), **parsed.get("OPTIONS", {})}}


def cache(redis_url: str) -> dict[str, dict[str, Any]]:
    """Redis where a URL is given, else a cache in this process's memory: enough for one local process."""
    if redis_url:
        # Seconds that it may take to say anything; the rate limit is counted within them or not at all.
        seconds = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
        backend = "django.core.cache.backends.redis.RedisCache"
        return {"default": {"BACKEND": backend, "LOCATION": redis_url, "OPTIONS": seconds}}
    return {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


# What the endpoints read of their host, by the host's names; each from the variable of that name.
CERAMIC_CACHE_SCORER_ID = env.text("CERAMIC_CACHE_SCORER_ID")
CGRANTS_API_TOKEN = env.text("CGRANTS_API_TOKEN")
TRUSTED_IAM_ISSUERS = env.words("TRUSTED_IAM_ISSUERS")
MAX_BULK_CACHE_SIZE = env.number("MAX_BULK_CACHE_SIZE", 100)
HUMAN_POINTS_ENABLED = env.flag("HUMAN_POINTS_ENABLED", False)
HUMAN_POINTS_WRITE_ENABLED = env.flag("HUMAN_POINTS_WRITE_ENABLED", False)
HUMAN_POINTS_START_TIMESTAMP = env.number("HUMAN_POINTS_START_TIMESTAMP", 0)  # Unix seconds
HUMAN_POINTS_MTA_ENABLED = env.flag("HUMAN_POINTS_MTA_ENABLED", False)
FF_API_ANALYTICS = env.text("FF_API_ANALYTICS", "off")
FF_MULTI_NULLIFIER = env.text("FF_MULTI_NULLIFIER", "off")
SIWE_JWT_PUBLIC_KEY = env.text("SIWE_JWT_PUBLIC_KEY")  # PEM; access tokens may be signed by RS256 for it
DEMO_API_KEY = env.text("DEMO_API_KEY")
DEMO_API_KEY_ALIASES = env.words("DEMO_API_KEY_ALIASES")
DEMO_API_SCORER_ID = env.text("DEMO_API_SCORER_ID")
RATELIMIT_ENABLE = env.flag("RATELIMIT_ENABLE", True)
REGISTRY_API_READ_DB = env.text("REGISTRY_API_READ_DB", "default")

# This app's own settings; docs/operations.md lists them.
SCORER_FAST: dict[str, Any] = {"DOCS": env.text("DOCS", "staff")}
