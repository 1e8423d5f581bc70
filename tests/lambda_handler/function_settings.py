"""The host as a Lambda function runs it: this app installed with its defaults, background threads on."""

from tests.host.settings import *  # noqa: F403

SCORER_FAST: dict[str, object] = {}
