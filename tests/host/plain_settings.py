"""The host alone, as it was before `scorer_fast` came: what answers are compared with, byte for byte."""

from settings.test import *  # noqa: F403
from settings.test import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("scorer_fast")]
MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("scorer_fast.")]
ROOT_URLCONF = "tests.host.urls"
