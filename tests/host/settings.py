"""The host with `scorer_fast` installed by its two lines; operations are `legacy` until a flag says more."""

from tests.host.plain_settings import *  # noqa: F403
from tests.host.plain_settings import INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [*INSTALLED_APPS, "scorer_fast"]
MIDDLEWARE = [*MIDDLEWARE, "scorer_fast.cutover.middleware.ScorerFastMiddleware"]
