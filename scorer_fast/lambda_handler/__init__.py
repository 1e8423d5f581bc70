"""The host's AWS Lambda functions: ``scorer_fast.lambda_handler.handler`` in front of their own handlers.

Configured by the function's environment alone:

``SCORER_FAST_HOST_HANDLER``
    The host's own handler (``v2.aws_lambdas.stamp_score_GET.handler``): the dialect of the host's Lambda functions, and
    the host's handler for all that the fast path does not answer. Set and empty: the same dialect and nobody
    behind it; what would be the host's is answered 503. Unset: the host's whole Django application, through apig-wsgi.
``SCORER_FAST_LAMBDA_SETUP``
    The module to import first: it loads secrets into the environment and sets Django up. Default: the module of
    the host's handler. With a module of its own the host's handler is imported when a request needs it.

``scorer_fast.lambda_handler.manage`` runs this app's commands from events.

Importing this needs neither Django nor settings. In Lambda Django is set up during the import, which is the
function's init phase; elsewhere at the first event.
"""

from __future__ import annotations

import os
from typing import Any

from .environment import HOST_HANDLER, SETUP

Event = dict[str, Any]

_is_set_up = False


def handler(event: Event, context: Any) -> Any:
    """Answer one event of a load balancer, in the event's form."""
    set_up()
    if os.environ.get(HOST_HANDLER) is None:
        from . import application

        return application.answer(event, context)
    from . import serving

    return serving.answer(event, context)


def manage(event: Event, context: Any) -> dict[str, Any]:
    """Run the command that the event names: ``{"command": "set", "reason": …}``."""
    set_up()
    from . import steering

    return steering.answer(event, context)


def set_up() -> None:
    """Import the host's module that sets up, and see that Django is ready; once per process."""
    global _is_set_up
    if _is_set_up:
        return
    from importlib import import_module

    from ..process import freeze_threads

    freeze_threads()  # first: what this app does while Django is set up depends on it
    module = os.environ.get(SETUP) or os.environ.get(HOST_HANDLER, "").rpartition(".")[0]
    if module:
        import_module(module)
    from django.apps import apps

    if not apps.ready:
        import django

        django.setup()
    _is_set_up = True


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    set_up()
    if os.environ.get(HOST_HANDLER) is not None:
        from . import serving  # noqa: F401  what every operation needs is loaded in the init phase too
