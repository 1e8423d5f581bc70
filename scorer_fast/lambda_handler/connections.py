"""What a function that was frozen has to look after: its database connections and its time."""

from __future__ import annotations

from typing import Any

from django.db import close_old_connections, connections

from ..db.connection import hung_up


def seconds_left(context: Any) -> float:
    """How long the function may still take; without a context that tells, for ever."""
    try:
        return float(context.get_remaining_time_in_millis()) / 1000
    except AttributeError:
        return float("inf")


def ready_connections() -> None:
    """Close what is too old or was hung up, and have the first statement check the rest.

    A function that was frozen finds out only then that its connection has died meanwhile, so it checks whatever
    ``CONN_HEALTH_CHECKS`` says.
    """
    close_old_connections()
    connection: Any
    for connection in connections.all(initialized_only=True):
        if connection.connection is None or connection.in_atomic_block:
            continue
        if hung_up(connection):
            connection.close()
        else:
            connection.health_check_enabled, connection.health_check_done = True, False
