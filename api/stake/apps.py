from django.apps import AppConfig


class StakeConfig(AppConfig):
    name = "api.stake"
    label = "stake"
    verbose_name = "Stakes"
    default_auto_field = "django.db.models.BigAutoField"
