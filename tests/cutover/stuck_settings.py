"""This repository alone on a real server, whose keys and tokens are those of the tests' world."""

import os

from settings.test import *  # noqa: F403

FF_MULTI_NULLIFIER = "on"
SCORER_FAST = {"BACKGROUND": True, "REQUEST_DEADLINE_SECONDS": float(os.environ.get("DEADLINE", "10"))}
