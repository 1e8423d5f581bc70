"""How long a server's sessions may wait: for the server processes alone (wsgi.py, asgi.py), not for commands.

Said once per connection, in the session itself: PgBouncer refuses it among a connection's parameters. Behind a pooler
the session is somebody else's next, and nothing is said; there the role says it (docs/operations.md).
"""

from typing import Any

from django.db.backends.signals import connection_created

from scorer_fast.settings import conf

LIMIT_SESSION = """
-- gives this session its limits, where its process is the one that the driver was told of
SELECT set_config('lock_timeout', %(lock)s, FALSE), set_config('statement_timeout', %(statement)s, FALSE)
WHERE pg_backend_pid() = %(pid)s
"""


def limit_sessions() -> None:
    """From now on every new connection of this process has LOCK_TIMEOUT_MS and STATEMENT_TIMEOUT_MS."""
    connection_created.connect(_limit, dispatch_uid="settings.limits")


def _limit(connection: Any, **_: Any) -> None:
    raw = connection.connection
    if getattr(raw, "is_limited", False):  # of a pool, and not new
        return
    pid = raw.info.backend_pid
    limits = {"lock": f"{conf.lock_timeout_ms}ms", "statement": f"{conf.statement_timeout_ms}ms", "pid": pid}
    with connection.cursor() as cursor:
        cursor.execute(LIMIT_SESSION, limits)
    try:
        raw.is_limited = True
    except AttributeError:  # psycopg2's take no attributes, and are in no pool
        return
