"""AWS Lambda behind an Application Load Balancer: the host's WSGI application, middleware and all.

Set the function's handler to ``scorer_fast.lambda_handler.handler``, ``DJANGO_SETTINGS_MODULE`` to the
host's settings, and the target group's attribute ``lambda.multi_value_headers.enabled`` to true.

A Lambda's threads are frozen between requests: flags are looked at in line, at most once per
``FLAGS_REFRESH_SECONDS``. ``SCORER_FAST["BACKGROUND"]`` should be False there: figures are then stored in line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

from .cutover import figures, flags
from .settings import conf

Event = dict[str, Any]


def handler(event: Event, context: Any) -> Event:
    """Answer one ALB event (``multiValueHeaders`` and ``multiValueQueryStringParameters`` on)."""
    answer = _application()(event, context)
    if not conf.background:
        figures.flush_if_due()  # no thread will do it once this process is frozen
    return answer


@cache
def _application() -> Callable[[Event, Any], Event]:
    try:
        from apig_wsgi import make_lambda_handler
    except ImportError as error:
        raise ImproperlyConfigured(
            "scorer_fast.lambda_handler needs apig-wsgi: pip install 'scorer_fast[lambda]'."
        ) from error
    application = get_wsgi_application()
    flags.look_in_line()
    return _whole_values(make_lambda_handler(application))


def _whole_values(answer: Callable[[Event, Any], Event]) -> Callable[[Event, Any], Event]:
    """Say so when the load balancer sends single-valued headers: repeated ones would be lost silently."""

    def checked(event: Event, context: Any) -> Event:
        if "multiValueHeaders" not in event:
            raise ImproperlyConfigured(
                "The event has no multiValueHeaders: set the target group's attribute "
                "lambda.multi_value_headers.enabled to true."
            )
        return answer(event, context)

    return checked
