"""This repository on a real server, as `make run` has it, over the tests' database.

`WALL_ALONE=1` takes the bounds away, so that every attack reaches didkit: the wall has to hold without them.
"""

import os
from typing import Any

from settings.test import *  # noqa: F403

FF_MULTI_NULLIFIER = "on"
HUMAN_POINTS_ENABLED = True
# Nobody is told to come again for want of time: what is looked at is who is in whose way.
SCORER_FAST: dict[str, Any] = {"REQUEST_DEADLINE_SECONDS": 20.0, "SHED_AFTER_SECONDS": 0}

if os.environ.get("WALL_ALONE") == "1":
    from scorer_fast.domain import bounds

    bounds.check = lambda credential: None
