"""The server that is attacked: two workers of the middleware, the guard every two seconds."""

from tests.host.settings import *  # noqa: F403
from tests.host.settings import MIDDLEWARE as OF_HOST

ROOT_URLCONF = "attacks.host"
MIDDLEWARE = [*OF_HOST]
SCORER_FAST = {
    "CONTROL_PERCENT": 0,
    "FIGURES_FLUSH_SECONDS": 1.0,
    "GUARD": {"INTERVAL_SECONDS": 2.0},
}
