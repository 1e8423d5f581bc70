"""Admin of human points and weight sets; scores, links and points can be looked up."""

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from api.admin_base import ReadOnlyAdmin
from api.registry.models import (
    GTCStakeEvent,
    HashScorerLink,
    HumanPoints,
    HumanPointsConfig,
    HumanPointsMultiplier,
    PlatformMetadata,
    Score,
    StampMetadata,
    WeightConfiguration,
    WeightConfigurationItem,
)


@admin.register(HumanPointsConfig)
class HumanPointsConfigAdmin(admin.ModelAdmin):
    list_display = ("action", "action_name", "points", "active")
    list_editable = ("points", "active")
    list_filter = ("active",)
    search_fields = ("action",)
    ordering = ("action",)

    @admin.display(description="Meaning")
    def action_name(self, config: HumanPointsConfig) -> str:
        return config.get_action_display()


@admin.register(HumanPointsMultiplier)
class HumanPointsMultiplierAdmin(admin.ModelAdmin):
    list_display = ("address", "multiplier")
    search_fields = ("address__exact",)

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        # Another address would be another row beside this one.
        return ("address",) if obj is not None else ()


class WeightConfigurationItemInline(admin.TabularInline):
    model = WeightConfigurationItem
    extra = 0
    autocomplete_fields = ("stamp_metadata",)


@admin.register(WeightConfiguration)
class WeightConfigurationAdmin(admin.ModelAdmin):
    list_display = ("version", "active", "threshold", "description", "created_at", "updated_at")
    list_filter = ("active",)
    search_fields = ("version", "description")
    readonly_fields = ("created_at", "updated_at")
    inlines = (WeightConfigurationItemInline,)


@admin.register(PlatformMetadata)
class PlatformMetadataAdmin(admin.ModelAdmin):
    list_display = ("platform_id", "name")
    search_fields = ("platform_id", "name")
    ordering = ("platform_id",)


@admin.register(StampMetadata)
class StampMetadataAdmin(admin.ModelAdmin):
    list_display = ("provider", "platform", "is_beta")
    list_editable = ("is_beta",)
    list_select_related = ("platform",)
    autocomplete_fields = ("platform",)
    search_fields = ("provider",)
    ordering = ("provider",)


@admin.register(Score)
class ScoreAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "address",
        "community",
        "score",
        "status",
        "last_score_timestamp",
        "expiration_date",
    )
    list_select_related = ("passport__community",)
    search_fields = ("passport__address__exact",)

    @admin.display(description="Address")
    def address(self, score: Score) -> str | None:
        return score.passport.address

    @admin.display(description="Community")
    def community(self, score: Score) -> str:
        return str(score.passport.community)


@admin.register(HashScorerLink)
class HashScorerLinkAdmin(ReadOnlyAdmin):
    list_display = ("hash", "address", "community", "expires_at")
    list_select_related = ("community",)
    search_fields = ("hash__exact", "address__exact")


@admin.register(HumanPoints)
class HumanPointsAdmin(ReadOnlyAdmin):
    list_display = ("address", "action", "provider", "chain_id", "tx_hash", "timestamp")
    list_filter = ("action",)
    search_fields = ("address__exact",)


@admin.register(GTCStakeEvent)
class GTCStakeEventAdmin(ReadOnlyAdmin):
    list_display = ("id", "event_type", "round_id", "staker", "address", "amount", "staked")
    list_filter = ("event_type",)
    search_fields = ("staker__exact", "address__exact")
