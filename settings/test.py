"""Tests: fixed values, whatever the environment of the person who runs them says, save for DATABASE_URL."""

import os

from api import demo_issuer
from settings.base import *  # noqa: F403
from settings.base import cache, database
from settings.embedded_postgres import embedded

DEBUG = False
# The recorded cases carry tokens signed with this key.
SECRET_KEY = "parity-secret-key-0123456789abcdef-not-for-production"
ALLOWED_HOSTS = ["*"]

_suffix = os.environ.get("TEST_DB_SUFFIX", "")
DATABASES = {
    "default": database(
        os.environ.get("DATABASE_URL") or embedded(test=True).url(),
        TEST={"NAME": f"test_scorer_fast_{_suffix}" if _suffix else "test_scorer_fast"},
    ),
}

CACHES = cache("")
SILENCED_SYSTEM_CHECKS = ["django_ratelimit.E003", "django_ratelimit.W001"]

CERAMIC_CACHE_SCORER_ID = "1"
CGRANTS_API_TOKEN = "test-internal-token"
TRUSTED_IAM_ISSUERS = list(demo_issuer.ISSUERS.values())
MAX_BULK_CACHE_SIZE = 100
HUMAN_POINTS_ENABLED = False
HUMAN_POINTS_WRITE_ENABLED = False
HUMAN_POINTS_START_TIMESTAMP = 0
HUMAN_POINTS_MTA_ENABLED = False
FF_API_ANALYTICS = "off"
FF_MULTI_NULLIFIER = "off"
SIWE_JWT_PUBLIC_KEY = ""
DEMO_API_KEY = ""
DEMO_API_KEY_ALIASES: list[str] = []
DEMO_API_SCORER_ID = ""
RATELIMIT_ENABLE = False
REGISTRY_API_READ_DB = "default"

# Nothing runs off the thread of a test's request, unless that test asks for it.
SCORER_FAST: dict[str, object] = {"BACKGROUND": False, "CONTROL_PERCENT": 0, "DOCS": "on"}
