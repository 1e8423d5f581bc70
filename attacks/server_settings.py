"""The server that is attacked; its clock may be ahead by ``AHEAD`` seconds."""

import os
import time

from tests.host.settings import *  # noqa: F403
from tests.host.settings import MIDDLEWARE as OF_HOST

_ahead = float(os.environ.get("AHEAD", "0"))
if _ahead:
    _time = time.time
    time.time = lambda: _time() + _ahead

ROOT_URLCONF = "attacks.host"
MIDDLEWARE = [*OF_HOST]
SCORER_FAST = {
    "CONTROL_PERCENT": 0,
    "FIGURES_FLUSH_SECONDS": 1.0,
    "GUARD": {"INTERVAL_SECONDS": 2.0, "MIN_COMPARED": 20},
}
