from django.apps import AppConfig


class CeramicCacheConfig(AppConfig):
    name = "api.ceramic_cache"
    label = "ceramic_cache"
    verbose_name = "Stamps, bans and revocations"
    default_auto_field = "django.db.models.BigAutoField"
