"""How a router function becomes an endpoint: by its name in the catalogue, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ninja import Router

from .catalogue import BY_ID
from .schemas import Detail, Invalid

F = TypeVar("F", bound=Callable[..., Any])

ALWAYS = {
    400: Detail,
    422: Invalid,
    503: Detail,
}  # an unreadable body or address, a malformed request, contention


def endpoint(
    router: Router, *, answers: Any, status: int = 200, refuses: tuple[int, ...] = (), auth: Any = None
) -> Callable[[F], F]:
    """Route the function under the method and path of the operation it is named after.

    ``answers``: the schema of a good answer. ``refuses``: error statuses besides those every operation has.
    """

    def register(function: F) -> F:
        operation = BY_ID[function.__name__]
        responses = {status: answers} | ALWAYS | dict.fromkeys(refuses, Detail)
        if auth is not None:
            responses[401] = Detail
        if operation.method != "GET":
            responses[413] = Detail  # a body longer than is taken
        return router.api_operation(
            [operation.method],
            operation.path,
            operation_id=operation.id,
            url_name=operation.id,
            summary=operation.summary,
            description=function.__doc__,
            tags=[operation.group],
            response=responses,
            auth=auth,
        )(function)

    return register
