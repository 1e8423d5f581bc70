from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import connections
from django.db.models.signals import post_migrate

HEALTH_MIDDLEWARE = "scorer_fast.console.health.HealthMiddleware"


def _create_missing_functions(using: str, **_: Any) -> None:
    """A test database made without migrations has this app's tables but not its functions."""
    from .db.functions import create_missing

    if connections[using].vendor == "postgresql":
        create_missing(using)


def _forget_what_was_flushed(**_: Any) -> None:
    """After ``migrate``, and after a test whose tables were flushed (Django sends the same signal).

    What this process remembers of the rows is of rows that are gone, and connections that wait idle would
    keep a test database from being dropped.
    """
    from . import pool
    from .lookups import weights

    weights.forget()
    pool.reset()


def _answer_for_health_first() -> None:
    """Load balancers ask by address and by plain HTTP: what other middleware refuses or redirects must come later."""
    if HEALTH_MIDDLEWARE not in settings.MIDDLEWARE:
        settings.MIDDLEWARE = [HEALTH_MIDDLEWARE, *settings.MIDDLEWARE]


class ScorerFastConfig(AppConfig):
    """The one app a host installs: ``"scorer_fast"`` in ``INSTALLED_APPS``."""

    name = "scorer_fast"
    label = "scorer_fast"
    verbose_name = "Scorer fast path"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import (
            checks,  # noqa: F401  registers the system checks
            process,
        )
        from .lookups import weights

        if process.has_threads():  # whoever reads gauges does so between requests
            from .cutover import gauges

            gauges.register()
        _answer_for_health_first()
        weights.forget_on_setting_change()
        post_migrate.connect(_create_missing_functions, sender=self)
        post_migrate.connect(_forget_what_was_flushed, sender=self)
