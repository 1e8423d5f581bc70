"""Whether PostgreSQL accepts the functions' files: part of `make lint`; what it says comes with file and line.

On a server that has the extension plpgsql_check, the functions are made in a migrated database and checked there too:
names, types and branches that no test runs.
"""

import subprocess
import sys
from pathlib import Path

from settings.embedded_postgres import embedded
from tests.upgrade.keep import PACKAGE, ROOT
from tests.upgrade.releases import Release, database, psql

CHECK = """
SELECT p.proname || ', line ' || COALESCE(c.lineno, 0) || ': ' || c.message || ' (' || c.sqlstate || ')'
FROM pg_proc AS p
CROSS JOIN LATERAL plpgsql_check_function_tb(p.oid, fatal_errors => FALSE) AS c
WHERE p.proname LIKE 'scorer\\_fast\\_%'
  AND p.prorettype <> 'trigger'::regtype
  AND c.level = 'error'
"""


def refused(url: str, file: Path) -> str:
    """What the server says to a file; empty where it accepts it."""
    program = embedded(test=True).program("psql")
    command = [program, "--no-psqlrc", "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(file.relative_to(ROOT)), url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    files = sorted((PACKAGE / "db" / "functions").glob("*.sql"))
    with database("lint") as url:
        said = [answer for file in files if (answer := refused(url, file))]
        has_check = psql(url, "SELECT 1 FROM pg_available_extensions WHERE name = 'plpgsql_check'")
        if has_check and not said:
            Release(ROOT).migrate(url)
            psql(url, "CREATE EXTENSION plpgsql_check")
            said += psql(url, CHECK)
    sys.stdout.write("\n".join([*said, ""]))
    if not said:
        sys.stdout.write(f"PostgreSQL accepts {len(files)} files{', and plpgsql_check too' if has_check else ''}\n")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
