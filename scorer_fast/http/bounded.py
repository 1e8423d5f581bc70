"""``"scorer_fast.http.bounded.bounded"``: the first middleware of a service of its own. It does nothing under WSGI.

Under ASGI Django gives every request a thread and a connection of its own, however many come. Here ``ASGI_THREADS``
requests of operations are begun at once, ``ASGI_QUEUE`` more wait, and who is too old when its turn comes is told so
on the event loop, before anything is done for it. A host has its own middleware for that (``cutover/middleware.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from .. import arrival, overload
from ..errors import Refused
from ..settings import conf
from .catalogue import Operation, operation_of
from .problems import refused_response


@sync_and_async_middleware
def bounded(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """``get_response``, within the bounds where it is asynchronous."""
    return _Bounded(get_response).answer if iscoroutinefunction(get_response) else get_response


class _Bounded:
    """The requests of one process's event loop."""

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self._get_response = get_response
        self._places = asyncio.Semaphore(conf.asgi_threads)
        self._waiting = 0

    async def answer(self, request: HttpRequest) -> HttpResponse:
        operation = operation_of(request)
        if operation is None:
            return await self._get_response(request)
        arrival.of(request)  # the time in the queue counts
        try:
            await self._turn(operation, request)
        except Refused as shed:
            return refused_response(shed)
        try:
            overload.require_young(operation.id, request, is_scoring=operation.writes)
            return await self._get_response(request)
        except Refused as shed:
            return refused_response(shed)
        finally:
            self._places.release()

    async def _turn(self, operation: Operation, request: HttpRequest) -> None:
        """Wait for a place; Refused where too many do already."""
        room = conf.asgi_queue * (overload.SCORINGS if operation.writes else 1)
        if self._places.locked() and self._waiting >= int(room):
            raise overload.shed(operation.id, request, f"{self._waiting} requests wait for their turn")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
