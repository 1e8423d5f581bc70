"""The host's whole application behind a load balancer, middleware and all, through apig-wsgi."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from ..cutover import figures

Event = dict[str, Any]


def answer(event: Event, context: Any) -> Event:
    """The application's answer."""
    response = _application()(_with_host(event), context)
    figures.flush_if_due()  # no thread will do it once this process is frozen
    return response


@cache
def _application() -> Callable[[Event, Any], Event]:
    try:
        from apig_wsgi import make_lambda_handler
    except ImportError as error:
        raise ImproperlyConfigured(
            "scorer_fast.lambda_handler needs apig-wsgi: pip install 'scorer_fast[lambda]'. "
            "In front of a Lambda handler of the host's it does not: set SCORER_FAST_HOST_HANDLER."
        ) from error
    made: Callable[[Event, Any], Event] = make_lambda_handler(get_wsgi_application())
    return made


def _with_host(event: Event) -> Event:
    """``event`` with a Host header: a load balancer's health check has none, and Django answers 400 without."""
    name = "multiValueHeaders" if "multiValueHeaders" in event else "headers"
    headers = event.get(name) or {}
    if any(header.lower() == "host" for header in headers):
        return event
    allowed = next((host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"), "localhost")
    return {**event, name: {**headers, "host": [allowed] if name == "multiValueHeaders" else allowed}}
