"""The environment of a server under measurement: ``settings.production`` and what it requires."""

from __future__ import annotations

import os

from api.demo_issuer import ISSUERS
from bench import addresses


def environment(database_url: str, *, settings: str = "bench.settings", **more: str) -> dict[str, str]:
    """What the process gets; nothing of the caller's own settings comes along."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": settings,
        "DATABASE_URL": database_url,
        "SECRET_KEY": addresses.SECRET_KEY,
        "CGRANTS_API_TOKEN": addresses.INTERNAL_TOKEN,
        "CERAMIC_CACHE_SCORER_ID": str(addresses.CACHE_SCORER),
        "TRUSTED_IAM_ISSUERS": ",".join(ISSUERS.values()),
        "ALLOWED_HOSTS": "127.0.0.1",
        "REDIS_URL": "redis://127.0.0.1:1/0",  # not used: see bench/settings.py
        "HUMAN_POINTS_ENABLED": "true",
        "FF_MULTI_NULLIFIER": "on",
        **more,
    }
