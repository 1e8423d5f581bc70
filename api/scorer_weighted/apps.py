from django.apps import AppConfig


class ScorerWeightedConfig(AppConfig):
    name = "api.scorer_weighted"
    label = "scorer_weighted"
    verbose_name = "Scorers and weights"
    default_auto_field = "django.db.models.BigAutoField"
