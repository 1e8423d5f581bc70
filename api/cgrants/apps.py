from django.apps import AppConfig


class CgrantsConfig(AppConfig):
    name = "api.cgrants"
    label = "cgrants"
    verbose_name = "Grants contributions"
    default_auto_field = "django.db.models.BigAutoField"
