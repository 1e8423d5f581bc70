"""Runs recorded cases on a throw-away database that it makes anew: `make parity CASES=<folder>`.

Settings come from DJANGO_SETTINGS_MODULE (settings.test when unset), so that a host can be held to the same
cases. A folder `lambda-…` is of events, and lambda_replay.py runs it. The arguments are the runner's own; its last
line is `N passed, N failed`, and its exit code tells too.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make_database() -> None:
    """The schema of the settings' migrations in a database of its own, empty."""
    from django.db import connection

    suffix = os.environ.get("TEST_DB_SUFFIX", "")
    connection.settings_dict["TEST"]["NAME"] = f"parity_scorer_fast_{suffix}" if suffix else "parity_scorer_fast"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)


def main() -> None:
    sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings.test")
    import django

    django.setup()
    make_database()
    import lambda_replay
    import replay

    folder = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    (lambda_replay if Path(folder).name.startswith("lambda") else replay).main()


if __name__ == "__main__":
    main()
