from django.apps import AppConfig


class AccountConfig(AppConfig):
    name = "api.account"
    label = "account"
    verbose_name = "Accounts and communities"
    default_auto_field = "django.db.models.BigAutoField"
