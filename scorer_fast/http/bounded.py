"""``"scorer_fast.http.bounded.bounded"``: the first middleware of a service of its own. It does nothing under WSGI.

Under ASGI Django gives every request a thread and a connection of its own: a client that goes away leaves its thread
at work, and connections stay until the garbage collector comes by. Here operations are answered on the few threads of
``pool.py``, as the fast path in a host is (``cutover/middleware.py``): ``ASGI_THREADS`` at once, whatever clients do,
``ASGI_QUEUE`` more wait, and who is too old when its turn comes is told so before anything is done for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from .. import overload
from ..errors import Refused
from .catalogue import Operation, operation_of
from .problems import refused_response


@sync_and_async_middleware
def bounded(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """``get_response``; for operations, where it is asynchronous, all middleware and the view as WSGI runs them."""
    if not iscoroutinefunction(get_response):
        return get_response
    behind = BaseHandler()
    behind.load_middleware()

    def serve(operation: Operation, request: HttpRequest) -> HttpResponseBase:
        overload.require_young(operation.id, request, is_scoring=operation.writes)
        return behind.get_response(request)

    async def answer(request: HttpRequest) -> HttpResponseBase:
        operation = operation_of(request)
        if operation is None:
            response: HttpResponseBase = await get_response(request)
            return response
        call = partial(serve, operation, request)
        try:
            return await overload.on_a_thread(operation.id, request, call, is_scoring=operation.writes)
        except Refused as shed:
            return refused_response(shed)

    return answer
