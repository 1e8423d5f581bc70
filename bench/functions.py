"""Cold starts of the host's Lambda functions with this app in front, part by part: tests/host stands for the host."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from bench import traffic
from bench.addresses import SCORER, address
from bench.server_environment import environment
from scorer_fast.lambda_handler import HOST_HANDLER, SETUP, cold_start

HOST = "tests.host.aws_lambdas"
FUNCTIONS = {
    "v2_score": f"{HOST}.v2.v2_score",
    "embed_validate_api_key": f"{HOST}.embed.embed_validate_api_key",
    "cache_get_score": f"{HOST}.ceramic_cache.cache_get_score",
}


def measure(url: str, *, rounds: int) -> dict[str, Any]:
    """Seconds of each part per function, with Python's files in the file cache (``warm``) and out of it (``bare``).

    With bytecode, as in an image that pip made.
    """
    with tempfile.TemporaryDirectory() as bytecode:
        return _measured(url, rounds, {"PYTHONPYCACHEPREFIX": bytecode})


def _measured(url: str, rounds: int, kept: dict[str, str]) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    for name, handler in FUNCTIONS.items():
        own = {HOST_HANDLER: handler, SETUP: f"{HOST}.ready", **kept}
        given = environment(url, settings="bench.installed_settings", **own)
        cold_start.measure(event(name), environment=given)
        for cache, bare in (("warm", False), ("bare", True)):
            starts = [cold_start.measure(event(name), environment=given, bare=bare) for _ in range(rounds)]
            found = cold_start.middle(starts)
            measured.setdefault(name, {})[cache] = {
                part: round(seconds, 3) for part, seconds in {**found._asdict(), "total": found.total}.items()
            }
    return measured


def event(name: str) -> dict[str, Any]:
    """What the function is asked: a score where it scores."""
    asked = cold_start.event_of(name)
    if name == "v2_score":
        asked["path"] = f"/v2/stamps/{SCORER}/score/{address(4998)}"
    headers = traffic.bearer(address(4998)) if name.startswith("cache_") else traffic.KEY
    return {**asked, "headers": {key.lower(): value for key, value in headers.items()}}


if __name__ == "__main__":
    from bench import database

    print(json.dumps(measure(database.run_database(), rounds=3), indent=1))
