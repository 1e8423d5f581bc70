"""This repository alone on a real server, whose keys and tokens are those of the tests' world."""

from settings.test import *  # noqa: F403

FF_MULTI_NULLIFIER = "on"
SCORER_FAST = {"BACKGROUND": True}
