"""``"scorer_fast.cutover.middleware.ScorerFastMiddleware"``: the line a host adds to ``MIDDLEWARE``, last.

Last, so that everything the host does around its views (request ids, CORS, security headers, sessions)
is done around the fast path as well. First also works: the fast path then skips all of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse

from ..console import health
from ..http.catalogue import Operation
from . import dispatch, flags


class ScorerFastMiddleware:
    """Answers operations by the fast path where their flags say so; all else reaches the host unchanged."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """The response, or under ASGI what can be awaited for it."""
        operation = dispatch.operation_of(request)
        if operation is None:
            if request.path_info in health.PATHS:
                return sync_to_async(health.answer)(request) if self.is_async else health.answer(request)
            # Under ASGI this is the host's own awaitable: no frame and no thread of ours is in between.
            return self.get_response(request)
        if self.is_async and flags.looks_in_line():
            return self._look_and_follow(operation, request)
        route = dispatch.choose(operation, request)
        if route is None:
            return self.get_response(request)
        if self.is_async:
            return dispatch.follow_async(route, operation, request, self.get_response)
        return dispatch.follow(route, operation, request, self.get_response)

    async def _look_and_follow(self, operation: Operation, request: HttpRequest) -> HttpResponse:
        route = await dispatch.choose_async(operation, request)
        if route is None:
            response: HttpResponse = await self.get_response(request)
            return response
        return await dispatch.follow_async(route, operation, request, self.get_response)
