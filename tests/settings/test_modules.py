"""The settings as processes load them, each with an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SECRET_KEY": "a-secret-key-that-is-longer-than-the-fifty-characters-django-wants",
    "CGRANTS_API_TOKEN": "token",
    "CERAMIC_CACHE_SCORER_ID": "335",
    "TRUSTED_IAM_ISSUERS": "did:key:a, did:key:b",
    "ALLOWED_HOSTS": "scores.example",
    "DATABASE_URL": "postgres://someone:word@db.example/scores",
    "REDIS_URL": "redis://cache.example/0",
}
SHOW = """
import json
from django.conf import settings
names = [name for name in dir(settings) if name.isupper()]
print(json.dumps({name: getattr(settings, name) for name in names}, default=str))
"""

MANAGE = "import sys, manage; sys.argv[1:] = {}; manage.main()"


def load(module: str, environment: dict[str, str], *, code: str = SHOW) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={**kept, **environment, "DJANGO_SETTINGS_MODULE": f"settings.{module}"},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded(module: str, environment: dict[str, str]) -> dict[str, Any]:
    done = load(module, environment)
    assert done.returncode == 0, done.stderr
    settings: dict[str, Any] = json.loads(done.stdout)
    return settings


@pytest.mark.parametrize("missing", sorted(PRODUCTION))
def test_production_does_not_start_without(missing: str) -> None:
    done = load("production", {name: value for name, value in PRODUCTION.items() if name != missing})
    assert done.returncode != 0
    assert f"Set the environment variable {missing}: " in done.stderr.splitlines()[-1]


def test_production_refuses_a_short_secret_key() -> None:
    done = load("production", {**PRODUCTION, "SECRET_KEY": "short"})
    assert "SECRET_KEY must have at least 32 characters." in done.stderr.splitlines()[-1]


def test_production_as_it_is_meant() -> None:
    settings = loaded("production", PRODUCTION)
    assert settings["DEBUG"] is False
    assert settings["TRUSTED_IAM_ISSUERS"] == ["did:key:a", "did:key:b"]
    assert settings["SECURE_SSL_REDIRECT"] is False
    database = settings["DATABASES"]["default"]
    assert database["CONN_MAX_AGE"] == 600
    assert database["CONN_HEALTH_CHECKS"] is True
    assert database["OPTIONS"] == {
        "server_side_binding": True,
        "prepare_threshold": 5,
        "connect_timeout": 3,
        "tcp_user_timeout": 4000,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }
    assert settings["USE_TZ"] is True
    assert settings["TIME_ZONE"] == "UTC"
    assert not {name for name in settings["SILENCED_SYSTEM_CHECKS"] if name.startswith("django_ratelimit")}
    assert "NINJA_JWT" not in settings
    assert settings["REGISTRY_API_READ_DB"] == "default"


def test_production_behind_a_pooler_of_transactions() -> None:
    variables = {"DISABLE_SERVER_SIDE_CURSORS": "true", "PREPARE_THRESHOLD": "0"}
    database = loaded("production", PRODUCTION | variables)["DATABASES"]["default"]
    assert database["DISABLE_SERVER_SIDE_CURSORS"] is True
    assert database["OPTIONS"]["prepare_threshold"] is None


def test_production_with_a_pool_a_replica_and_a_key_for_tokens() -> None:
    settings = loaded(
        "production",
        {
            **PRODUCTION,
            "DB_POOL": "8",
            "READ_DATABASE_URL": "postgres://someone:word@replica.example/scores",
            "JWT_SIGNING_KEY": "another",
        },
    )
    assert settings["DATABASES"]["default"]["OPTIONS"]["pool"] == {"min_size": 2, "max_size": 8, "timeout": 5}
    assert settings["DATABASES"]["default"]["CONN_MAX_AGE"] == 0
    assert settings["DATABASES"]["read_replica"]["HOST"] == "replica.example"
    assert settings["REGISTRY_API_READ_DB"] == "read_replica"
    assert settings["NINJA_JWT"] == {"SIGNING_KEY": "another"}


def test_production_passes_djangos_deployment_checks() -> None:
    arguments = ["check", "--deploy", "--fail-level", "WARNING"]
    done = load("production", PRODUCTION, code=MANAGE.format(arguments))
    assert done.returncode == 0, done.stderr


def test_local_runs_on_the_server_that_database_url_names() -> None:
    settings = loaded("local", {"DATABASE_URL": "postgres://someone@db.example/scores"})
    assert settings["DATABASES"]["default"]["HOST"] == "db.example"


def test_local_silences_the_check_of_the_cache_only_with_the_cache_in_memory() -> None:
    database = {"DATABASE_URL": "postgres://someone@db.example/scores"}
    assert loaded("local", database)["SILENCED_SYSTEM_CHECKS"] == [
        "django_ratelimit.E003",
        "django_ratelimit.W001",
    ]
    with_redis = loaded("local", {**database, "REDIS_URL": "redis://cache.example/0"})
    assert with_redis["SILENCED_SYSTEM_CHECKS"] == []
    assert with_redis["CACHES"]["default"]["LOCATION"] == "redis://cache.example/0"


def test_every_setting_of_the_host_is_read_from_its_variable() -> None:
    written = {
        "CERAMIC_CACHE_SCORER_ID": "335",
        "CGRANTS_API_TOKEN": "token",
        "TRUSTED_IAM_ISSUERS": "did:key:a,did:key:b",
        "MAX_BULK_CACHE_SIZE": "7",
        "HUMAN_POINTS_ENABLED": "true",
        "HUMAN_POINTS_WRITE_ENABLED": "true",
        "SIWE_JWT_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----",
        "HUMAN_POINTS_START_TIMESTAMP": "1700000000",
        "HUMAN_POINTS_MTA_ENABLED": "true",
        "FF_API_ANALYTICS": "on",
        "FF_MULTI_NULLIFIER": "on",
        "DEMO_API_KEY": "key",
        "DEMO_API_KEY_ALIASES": "demo,example",
        "DEMO_API_SCORER_ID": "24",
        "RATELIMIT_ENABLE": "false",
        "REGISTRY_API_READ_DB": "replica",
    }
    settings = loaded("production", {**PRODUCTION, **written})
    assert {name: settings[name] for name in written} == {
        **written,
        "TRUSTED_IAM_ISSUERS": ["did:key:a", "did:key:b"],
        "MAX_BULK_CACHE_SIZE": 7,
        "HUMAN_POINTS_ENABLED": True,
        "HUMAN_POINTS_WRITE_ENABLED": True,
        "HUMAN_POINTS_START_TIMESTAMP": 1_700_000_000,
        "HUMAN_POINTS_MTA_ENABLED": True,
        "DEMO_API_KEY_ALIASES": ["demo", "example"],
        "RATELIMIT_ENABLE": False,
    }
