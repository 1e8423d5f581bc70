"""A process of one release: takes a case, or steps alone, as a JSON line, and says in another what came of it.

Started by `releases.py` with the release's folder first on the path; settings and the host's apps are the checkout's.
"""

import json
import os
import sys
from typing import Any

import django


def steps(case: dict[str, Any]) -> Any:
    """The answers to the steps of a case, on the database as it is."""
    from django.core.cache import caches
    from django.test import Client, override_settings

    for cache in caches.all():
        cache.clear()
    client = Client(raise_request_exception=False)
    with override_settings(**case["settings"]):
        return [_answer(client, step) for step in case["steps"]]


def _answer(client: Any, step: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(step["json"]) if "json" in step else step.get("raw", "")
    headers = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in step["headers"].items()}
    response = client.generic(step["method"], step["path"], body, content_type="application/json", **headers)
    text = b"".join(response) if response.streaming else response.content
    try:
        return {"status": response.status_code, "body": json.loads(text) if text else None}
    except ValueError:
        return {"status": response.status_code, "body": {"<not json>": True}}


def main() -> None:
    django.setup()
    import scorer_fast
    from tests.contract import replay, test_golden

    def load(seed: Any, cursor: Any, tables: list[str]) -> None:
        """The case's rows, and no others, in the host's tables: to delete a few rows is quicker than to truncate."""
        for table in tables:
            cursor.execute(f'DELETE FROM "{table}"')
        test_golden.load(seed, cursor, tables)

    replay.load = load

    def say(what: Any) -> None:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()

    say({"file": scorer_fast.__file__, "version": scorer_fast.__version__})
    for line in sys.stdin:
        asked = json.loads(line)
        say(replay.run_case(asked["case"], asked["tables"]) if "case" in asked else steps(asked))
    os._exit(0)  # didkit's threads outlive the interpreter


if __name__ == "__main__":
    main()
