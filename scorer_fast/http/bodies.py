"""Request bodies: refused by their announced length before they are read, and not waited for when nobody wants them."""

from __future__ import annotations

import array
import fcntl
import socket
import termios
import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from ..errors import Problem, Refused

GRACE_SECONDS = 0.25  # that an unread body may still take to come
MUCH = 32_768  # bytes of it that have come say that the client is sending


def announced(request: HttpRequest) -> int:
    """Bytes of the body as its header says; 0 without one that is a number."""
    try:
        return max(int(request.META.get("CONTENT_LENGTH") or 0), 0)
    except ValueError:
        return 0


def require_small(request: HttpRequest) -> None:
    """Refused for a body longer than ``DATA_UPLOAD_MAX_MEMORY_SIZE``, by its header; Django would say so with a 400."""
    limit: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if limit is not None and announced(request) > limit:
        raise Refused(Problem.BODY_TOO_LARGE)


def is_had(request: HttpRequest) -> bool:
    """Whether the body was read and kept, or can still be: not where somebody has read from its stream."""
    return hasattr(request, "_body") or not getattr(request, "_read_started", False)


def leave_unread(request: HttpRequest) -> None:
    """Wait no longer for the body of an answered request, if nobody has read it.

    gunicorn would read what is missing of it before it gives its thread to the next request, for as long as the client
    takes. The connection is closed for reading in place of that, and so after the answer.
    """
    missing = announced(request) if not hasattr(request, "_body") and is_had(request) else 0
    connection = request.META.get("gunicorn.socket")
    if missing and connection is not None:
        try:
            # One that is on its way is let come: a connection closed under it would take the answer along.
            until = time.monotonic() + GRACE_SECONDS
            while _arrived(connection, request.META["wsgi.input"]) < min(missing, MUCH):
                if time.monotonic() >= until:
                    connection.shutdown(socket.SHUT_RD)
                    break
                time.sleep(0.01)
        except (AttributeError, KeyError, OSError):
            pass  # another server, or a gunicorn that looks otherwise inside: it may wait


def _arrived(connection: Any, body: Any) -> int:
    """Bytes that have come after the headers: what gunicorn has taken from the socket, and what waits in it."""
    waiting = array.array("i", [0])
    fcntl.ioctl(connection.fileno(), termios.FIONREAD, waiting)
    taken: int = body.reader.unreader.buf.getbuffer().nbytes
    return taken + waiting[0]
