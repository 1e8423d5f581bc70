from django.apps import AppConfig


class ScorerFastConfig(AppConfig):
    """The one app a host installs: ``"scorer_fast"`` in ``INSTALLED_APPS``."""

    name = "scorer_fast"
    label = "scorer_fast"
    verbose_name = "Scorer fast path"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  registers the system checks
        from .operations import weights

        weights.forget_on_setting_change()
