"""settings.test with the throttle from the environment variable RATE, in addresses a second."""

import os

from settings.test import *  # noqa: F403
from settings.test import SCORER_FAST as OF_TESTS

SCORER_FAST = {**OF_TESTS, "RESCORE_ADDRESSES_PER_SECOND": float(os.environ["RATE"])}
