"""How a router function becomes an endpoint: by its row in the catalogue, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import Http404, HttpRequest
from ninja import Router

from . import auth, schemas
from .catalogue import BY_ID, Auth, Operation

F = TypeVar("F", bound=Callable[..., Any])

ALWAYS = {
    400: schemas.Detail,
    422: schemas.Invalid,
    503: schemas.Detail,
}  # an unreadable body or address, a malformed request, contention
WHO: dict[Auth, Any] = {
    Auth.NONE: None,
    Auth.API_KEY: auth.api_key_auth,
    Auth.INTERNAL: auth.internal_auth,
    Auth.TOKEN: auth.token_auth,
}


def endpoint(router: Router) -> Callable[[F], F]:
    """Route the function as the operation it is named after."""

    def register(function: F) -> F:
        operation = BY_ID[function.__name__]
        errors = [
            *operation.refuses,
            *([] if operation.auth is Auth.NONE else [401]),
            *([] if operation.method == "GET" else [413]),  # a body longer than is taken
        ]
        return router.api_operation(
            [operation.method],
            operation.path,
            operation_id=operation.id,
            url_name=operation.id,
            summary=operation.summary,
            description=function.__doc__,
            tags=[operation.group],
            response={operation.status: getattr(schemas, operation.answers)}
            | ALWAYS
            | dict.fromkeys(errors, schemas.Detail),
            auth=WHO[operation.auth],
            deprecated=operation.deprecated or None,
        )(function)

    return register


def where_it_is(operation: Operation, view: Callable[..., Any]) -> Callable[..., Any]:
    """``view``, which is not there where the host does not have the operation."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not operation.is_there:
            raise Http404
        return view(request, *args, **kwargs)

    return answer
