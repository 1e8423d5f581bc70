"""The slow host with the benchmark's settings: the baseline."""

from bench.settings import *  # noqa: F403
from bench.settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("scorer_fast")]
MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("scorer_fast.")]
ROOT_URLCONF = "bench.host_urls"
