"""The host of `tests/host` with the app installed, on a database of the demo's own; a guard in a hurry."""

import os

from settings.embedded_postgres import embedded

os.environ.setdefault("DATABASE_URL", embedded().url("demo"))

from tests.host.settings import *  # noqa: F403
from tests.host.settings import DATABASES, INSTALLED_APPS

CERAMIC_CACHE_SCORER_ID = "1"
FF_MULTI_NULLIFIER = "on"
DATABASES["default"]["CONN_MAX_AGE"] = 600
INSTALLED_APPS = [*INSTALLED_APPS, "demo.fault.FaultConfig", "demo.exporter.ExporterConfig"]
ROOT_URLCONF = "demo.urls"
RATELIMIT_ENABLE = False
SESSION_COOKIE_NAME = "demo_sessionid"
CSRF_COOKIE_NAME = "demo_csrftoken"
SCORER_FAST = {
    "SHED_AFTER_SECONDS": 0,  # the clients are on the same cores
    "CONTROL_PERCENT": 5.0,
    "FIGURES_FLUSH_SECONDS": 1.0,
    "MEASURE_LEGACY": True,
    "GUARD": {"INTERVAL_SECONDS": 5.0, "MIN_SAMPLE": 30, "ERROR_POINTS": 10},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    # One line of the guard and of circuits; the fault's tracebacks would fill the terminal.
    "loggers": {
        "scorer_fast.cutover.guard": {"handlers": ["console"], "level": "WARNING"},
        "scorer_fast.cutover.circuit": {"handlers": ["console"], "level": "WARNING"},
        "scorer_fast.cutover.dispatch": {"level": "CRITICAL"},
    },
    "root": {"level": "CRITICAL"},  # the host's own races between writers, too
}
