"""Tests: local.py with fixed values, whatever the environment of the person who runs them says."""

import os

from api import demo_issuer
from settings.local import *  # noqa: F403
from settings.local import DATABASES

DEBUG = False
# The recorded cases carry tokens signed with this key.
SECRET_KEY = "parity-secret-key-0123456789abcdef-not-for-production"

_suffix = os.environ.get("TEST_DB_SUFFIX", "")
_name = f"test_scorer_fast_{_suffix}" if _suffix else "test_scorer_fast"
DATABASES["default"].update(CONN_MAX_AGE=0, CONN_HEALTH_CHECKS=False, TEST={"NAME": _name})
# A crash may lose the last commits of a test; nothing else differs from a durable server.
DATABASES["default"]["OPTIONS"] = {
    **DATABASES["default"]["OPTIONS"],
    "options": "-c synchronous_commit=off",
}

LOGGING: dict[str, object] = {}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]

CERAMIC_CACHE_SCORER_ID = "1"
CGRANTS_API_TOKEN = "test-internal-token"
TRUSTED_IAM_ISSUERS = list(demo_issuer.ISSUERS.values())
MAX_BULK_CACHE_SIZE = 100
HUMAN_POINTS_ENABLED = False
HUMAN_POINTS_START_TIMESTAMP = 0
HUMAN_POINTS_MTA_ENABLED = False
FF_API_ANALYTICS = "off"
FF_MULTI_NULLIFIER = "off"
DEMO_API_KEY = ""
DEMO_API_KEY_ALIASES: list[str] = []
DEMO_API_SCORER_ID = ""
RATELIMIT_ENABLE = False
REGISTRY_API_READ_DB = "default"

# Nothing runs off the thread of a test's request, unless that test asks for it.
SCORER_FAST: dict[str, object] = {"BACKGROUND": False}
