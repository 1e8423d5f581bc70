"""The recorded cases' settings, with production's options of the driver, through the pooler of DATABASE_URL."""

from settings import env
from settings.test import *  # noqa: F403

for _server in DATABASES.values():  # noqa: F405
    _server |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True, "DISABLE_SERVER_SIDE_CURSORS": True}
    _server["OPTIONS"] |= {
        "server_side_binding": True,
        "prepare_threshold": env.number("PREPARE_THRESHOLD", 0) or None,
    }
